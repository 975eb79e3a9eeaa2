"""Commands and calls that fetch something, in the scripts of tasks: shell, Python, R, Perl."""

from __future__ import annotations

import re
from dataclasses import dataclass

COMMAND = (r"(?:^|[|;&(`!]|\{(?=\s)|\b(?:then|do|else|sudo|time|exec|xargs|nohup|command"
           r"|timeout\s+\S{1,200})\b)[^\S\n]{0,200}(?:\w{1,99}=\S{0,300}[^\S\n]{1,200}){0,99}")
"""What stands before a command's name. Every repeat ends: `(((((…` begins a command at each place.
"""

FETCHERS = (
    r"wget|curl|aria2c|axel|lftp|ncftpget|ascp|sftp|scp|rclone|s5cmd|azcopy|gsutil|gdown|iget",
    r"aws\s+(?:--?\S{1,200}\s+){0,20}s3(?:api)?\b|gcloud\s+storage|mc\s+(?:cp|mirror)\b",
    r"rsync(?=\s[^\n]{0,2000}\w:)",
    r"git\s+(?:clone|fetch|pull|submodule|lfs)|svn\s+(?:co|checkout|export)|hg\s+clone",
    r"(?:python3?\s+-m\s+)?pip3?\s+(?:install|download)|uv\s+pip\s+install",
    r"(?:conda|mamba|micromamba)\s+(?:install|create|update|env\s+(?:create|update))",
    r"(?:apt|apt-get|yum|dnf|apk|brew)\s+(?:-\S+\s+)*(?:install|add|update)",
    r"npm\s+(?:i|install)\b|npx\b|gem\s+install|cargo\s+install|go\s+(?:install|get)|cpanm?\b",
    r"(?:docker|podman|singularity|apptainer)\s+pull|refgenie\s+pull|genomepy\s+install",
    r"prefetch|fasterq-dump|fastq-dump|sam-dump|efetch|esearch|elink|esummary|ffq|kingfisher",
    r"synapse\s+get|ncbi-genome-download|enaDataGet|enaGroupGet|pyega3|geofetch|gget|pridepy",
    r"vep_install|vep(?=\s[^\n]{0,2000}--database\b)|perl\s+\S{0,200}INSTALL\.pl|pyensembl\s+install",
    r"amrfinder_update|amrfinder(?=\s[^\n]{0,2000}(?:\s-u\b|--update))|ktUpdateTaxonomy\.sh",
    r"ariba\s+getref|mmseqs\s+databases|(?:msf_data|macsydata)\s+install|caddsv\s+get",
    r"freyja\s+update|nextclade\s+dataset\s+get|checkm\s+data\s+setRoot|singlem\s+data",
    r"metaphlan(?=\s[^\n]{0,2000}--install)|run_dbcan\s+database|vcontact3\s+prepare_databases",
    r"INSTALL_annotations\.sh|sync_files\.py\s+get|get_organelle_config\.py|fungtion\s+setup-models",
)
"""Programs that are known for fetching, by what they are called with."""
SHELL = re.compile(f"{COMMAND}(?P<tool>(?:{'|'.join(FETCHERS)})(?![\\w.=:-]))"
                   r"(?!\s+(?:-V\b|--version|-h\b|--help))", re.MULTILINE)

LOCAL = (r"cp|mv|ln|mkdir|cd|ls|rm|touch|cat|tar|unzip|gunzip|chmod|find|grep|sed|awk|export"
         r"|python3?")
TELLS = (r"(?:\S{0,200}download\S{0,200}|fetch|\S{0,200}update[-_]?(?:db|data|blastdb)\S{0,200}"
         r"|\S{0,200}install[-_](?:db|databases?)\S{0,200})")
DOWNLOADS = re.compile(
    rf"{COMMAND}(?P<tool>(?!-|(?:{LOCAL})\s)(?:{TELLS}|"
    rf"[\w./-]{{1,200}}(?:[ \t]{{1,200}}\S{{1,200}}){{0,2}}?[ \t]{{1,200}}{TELLS}))"
    r"(?=\s|$)", re.MULTILINE)
"""A program that is told to download, by its name or one of its first words."""

CALLS = re.compile(
    r"(?P<tool>\b(?:download\.file|install\.packages|biocLite|BiocManager::install|useMart"
    r"|useEnsembl|getGEO|AnnotationHub|ExperimentHub|(?:remotes|devtools)::install_\w+"
    r"|(?:urllib\.request\.)?url(?:open|retrieve)|(?:requests|httpx)\.(?:get|post|request)"
    r"|(?:snapshot|hf_hub)_download|nltk\.download|wget\.download|Entrez\.\w+|ftplib\.\w+|boto3\.\w+)(?=\s*\()"
    r"|\bsource\s*\(\s*['\"]https?://|\b(?:HTTP::Tiny|LWP::\w+|File::Fetch|Net::FTP)->"
    r"|(?<=['\"])(?:wget|curl|aria2c|prefetch|fasterq-dump)(?=[\s'\"]))")
"""What fetches in Python, R and Perl; and programs that these start."""
COMMENT = re.compile(r"(?:(?<=\s)|^)#[^\n]*", re.MULTILINE)
SAID = re.compile(r"[^\S\n]*(?:echo|printf|log|message|warning|stop|die|print)\b", re.IGNORECASE)


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
            if first in found:
                continue
            begin = max(bare.rfind(each, first, start) + 1 for each in "|;&") or first
            if pattern is CALLS or not SAID.match(bare, begin):
                end = bare.find("\n", start)
                last = len(bare) if end < 0 else end
                found[first] = Fetch(command=" ".join(bare[start:last].split()), start=start,
                                     first=first, last=last)
    return sorted(found.values(), key=lambda each: each.start)
