"""README.txt of a carried folder: what a person types who has the folder and no tool yet."""

from __future__ import annotations

import shlex
from pathlib import Path

from tasks.carry.record import Record
from tasks.core.trust import signature


def text(record: Record, *, trust: Path, identity: str) -> str:
    """The page, by which the folder can be taken with ssh-keygen, sha256sum and tar alone."""
    carried = "".join(f"    {name:<16} {subject.id}, promotion {subject.number}\n"
                      for name, subject in record.pipelines.items())
    tool = record.tool.id if record.tool else ""
    return f"""\
Carried by disk for the site {record.site}, by nf-airlock:

{carried}    {"the tool":<16} {tool}

Believe nothing in this folder before it is verified, this page included: compare these commands
with those that your administrator has. They are typed in a shell (bash) on the offline host, in
this folder. allowed_signers is the file that an administrator filled by hand.


WHERE THE TOOL IS ON THE HOST ALREADY, type this in its folder, and nothing else:

{_take(record, '/where/this/folder/is')}
It verifies all that follows by itself.


THE FIRST TIME, type this: it is one command, which ends at the first thing that isn't right.
{_volumes(record)}
{verify(trust, identity)} &&
{_put_together(record, trust, identity)}{_start(record, trust, identity, tool)}
{_archives(record, trust, identity)}"""


def verify(trust: Path, identity: str) -> str:
    """The two commands that verify a carried folder."""
    return (f"{_signature(trust, identity, signature.CARRY, 'SHA256SUMS')} &&\n"
            "sha256sum --strict --quiet -c SHA256SUMS")


def _signature(trust: Path, who: str, namespace: str, file: str) -> str:
    allowed = shlex.quote(str(trust / "allowed_signers"))
    return (f"ssh-keygen -Y verify -f {allowed} -I {shlex.quote(who)} -n {namespace} "
            f"-s {file}.sig < {file}")


def _take(record: Record, folder: str) -> str:
    """The command of the tool; where one pipeline is carried, it is named."""
    names = list(record.pipelines)
    named = f" pipeline={names[0]}" if len(names) == 1 else " pipeline=NAME"
    return f"./doit role=prod from={folder}{named}\n"


def _volumes(record: Record) -> str:
    return """\
If the volumes came on several disks, copy all into one folder before, with the files that lie
beside them; `sha256sum -c part0001.sha256` verifies one by itself. They are put together in a new
folder, ~/airlock-carried.
""" if record.part else ""


def _put_together(record: Record, trust: Path, identity: str) -> str:
    if not record.part:
        return ""
    return f"""\
mkdir ~/airlock-carried && cat part*.tar | tar xf - -C ~/airlock-carried &&
cp whole/SHA256SUMS whole/SHA256SUMS.sig ~/airlock-carried && cd ~/airlock-carried &&
{verify(trust, identity)} &&
"""


def _start(record: Record, trust: Path, identity: str, tool: str) -> str:
    place = f"~/airlock-{tool}"
    return f"""\
carried=$PWD && mkdir {place} && cp -R tool/{tool}/. {place} && cd {place} &&
{_signature(trust, identity, signature.TOOL, 'airlock.tar')} &&
mkdir airlock && tar xf airlock.tar -C airlock && cd airlock &&
{_take(record, '"$carried"').replace('role=prod', f'role=prod tool={tool}')}"""


def _archives(record: Record, trust: Path, identity: str) -> str:
    """How images are loaded that came as archives."""
    with_archives = [name for name, subject in record.pipelines.items()
                     if any(file.path.startswith("images/") for file in subject.files)]
    if not with_archives:
        return ""
    name = with_archives[0]
    return f"""
IMAGES come as archives in images/NAME/ (NAME: {', '.join(with_archives)}). Hosts that reach the
registry which has them don't need these. Elsewhere an engine loads them, once all is verified:

cd images/{name} &&
{_signature(trust, f'{identity}/{name}', signature.IMAGES, 'SHA256SUMS')} &&
sha256sum --strict --quiet -c SHA256SUMS &&
cut -c 67- SHA256SUMS | grep '\\.tar$' | xargs -d '\\n' -n 1 docker load --input

and Nextflow takes them by `nextflow run ... -c offline.load.config`, a file in that folder.
"""
