"""Commands and calls that fetch something, in the scripts of tasks: shell, Python, R, Perl."""

from __future__ import annotations

import re
from dataclasses import dataclass

COMMAND = (r"(?:^|[|;&({`!]|\b(?:then|do|else|sudo|time|exec|xargs|nohup|command|timeout\s+\S+)\b)"
           r"\s*(?:\w+=\S*\s+)*")
"""What stands before a command's name."""

FETCHERS = (
    r"wget|curl|aria2c|axel|lftp|ncftpget|ascp|sftp|scp|rclone|s5cmd|azcopy|gsutil|gdown|iget",
    r"aws\s+(?:--?\S+\s+)*s3(?:api)?\b|gcloud\s+storage|mc\s+(?:cp|mirror)\b|rsync(?=\s[^\n]*\w:)",
    r"git\s+(?:clone|fetch|pull|submodule|lfs)|svn\s+(?:co|checkout|export)|hg\s+clone",
    r"(?:python3?\s+-m\s+)?pip3?\s+(?:install|download)|uv\s+pip\s+install",
    r"(?:conda|mamba|micromamba)\s+(?:install|create|update|env\s+(?:create|update))",
    r"(?:apt|apt-get|yum|dnf|apk|brew)\s+(?:-\S+\s+)*(?:install|add|update)",
    r"npm\s+(?:i|install)\b|npx\b|gem\s+install|cargo\s+install|go\s+(?:install|get)|cpanm?\b",
    r"(?:docker|podman|singularity|apptainer)\s+pull",
    r"prefetch|fasterq-dump|fastq-dump|sam-dump|efetch|esearch|elink|ffq|kingfisher|synapse\s+get",
    r"ncbi-genome-download|enaDataGet|enaGroupGet|pyega3|bs\s+download|vep_install|gget",
    r"amrfinder_update|amrfinder(?=\s[^\n]*(?:\s-u\b|--update))|ktUpdateTaxonomy\.sh|refgenie\s+pull",
    r"genomepy\s+install|pyensembl\s+install|nextclade\s+dataset\s+get|checkm\s+data\s+setRoot",
    r"metaphlan(?=\s[^\n]*--install)|vep(?=\s[^\n]*--database\b)|perl\s+\S*INSTALL\.pl",
)
"""Programs that are known for fetching, by what they are called with."""
SHELL = re.compile(f"{COMMAND}(?P<tool>(?:{'|'.join(FETCHERS)})(?![\\w.=:-]))"
                   r"(?!\s+(?:-V\b|--version|-h\b|--help))", re.MULTILINE)
DOWNLOADS = re.compile(
    r"^\s*(?P<tool>[\w./-]+)(?=[^\n#]*\s(?:download|--download[\w-]*|update[-_]?db)(?=\s|$))",
    re.MULTILINE)
"""A program that is told to download, whatever it is called."""

CALLS = re.compile(
    r"(?P<tool>\b(?:download\.file|install\.packages|biocLite|BiocManager::install|useMart"
    r"|useEnsembl|getGEO|AnnotationHub|ExperimentHub|(?:remotes|devtools)::install_\w+"
    r"|(?:urllib\.request\.)?url(?:open|retrieve)|(?:requests|httpx)\.(?:get|post|request)"
    r"|wget\.download|Entrez\.\w+|ftplib\.\w+|boto3\.\w+)(?=\s*\()"
    r"|\bsource\s*\(\s*['\"]https?://|\b(?:HTTP::Tiny|LWP::\w+|File::Fetch|Net::FTP)->"
    r"|(?<=['\"])(?:wget|curl|aria2c|prefetch|fasterq-dump)(?=[\s'\"]))")
"""What fetches in Python, R and Perl; and programs that these start."""
COMMENT = re.compile(r"(?:(?<=\s)|^)#[^\n]*", re.MULTILINE)
SAID = re.compile(r"^\s*(?:echo|printf|log|message|warning|stop|die|print)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """A command that fetches: from `start`, on the lines from `first` to `last` in the text."""

    command: str
    start: int
    first: int
    last: int


def uncommented(text: str) -> str:
    """The text with its comments blanked, so that places in it stay as they are."""
    return COMMENT.sub(lambda match: " " * len(match[0]), text)


def is_shell(text: str) -> bool:
    """Whether a script is for a shell, as are all that don't say otherwise."""
    return re.match(r"\s*#!(?!.*\b(?:ba|da|z|k)?sh\b)", text) is None


def fetches(text: str) -> list[Fetch]:
    """What the text would fetch, one for each command; its comments count for nothing."""
    bare = uncommented(text).replace("\\\n", "  ")  # a continued command is one line
    found: dict[int, Fetch] = {}
    for pattern in (SHELL, DOWNLOADS, CALLS) if is_shell(text) else (CALLS,):
        for match in pattern.finditer(bare):
            start = match.start("tool")
            first = bare.rfind("\n", 0, start) + 1
            last = (bare + "\n").index("\n", start)
            begin = max(bare.rfind(each, first, start) + 1 for each in "|;&") or first
            said = pattern is not CALLS and SAID.match(bare[begin:last])
            if first not in found and not said:
                found[first] = Fetch(command=" ".join(bare[start:last].split()), start=start,
                                     first=first, last=last)
    return sorted(found.values(), key=lambda each: each.start)
