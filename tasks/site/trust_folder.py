"""What an administrator takes to the offline hosts by hand, laid ready with how to install it.

It holds nothing secret: the login is typed there.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

from tasks.core import files, ownership, processes
from tasks.core.config.engines import FILES, PODMAN, STORE
from tasks.core.config.settings import Site
from tasks.core.errors import RegistryError
from tasks.core.trust import signature

LOGIN = Path(__file__).with_name("login.sh")
INSTALL = """\
For the administrator of an offline host of the site {site}
===========================================================

Carry this folder there by a way that you trust: who can change it can have anything run there. The
key that signs has this fingerprint; compare it with those who sign, by telephone for instance:

{fingerprint}

As root, in this folder, with USER for the user who runs pipelines there:

    install -d -m 0755 {trust}
    install -m 0644 allowed_signers {trust}/allowed_signers
{ca}
{login}{engine}{store}
{approvals}Later, to refuse all that was promoted under a lower number, {trust}/minimum.json:
{least}

Then USER copies the tool there and starts it, as docs/offline-hosts.md has it, and
looks at all of it with: ./doit doctor role=prod
"""

LOGGING_IN = """\
The registry's login; one that {may}. It is asked for, and the password not shown; or
fill config.json.template by hand, or let `docker --config {trust} login {address}` do it:

    sh login.sh {trust}/config.json
    chown USER {trust}/config.json

"""

OF_PODMAN = """\
Podman is given the registry's CA and login from there: /etc/containers stays as it is. A USER who
isn't root needs subordinate ids that are nobody else's, and their runs outlive a login only so:

    usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER
    loginctl enable-linger USER

"""

APPROVALS = """\
What is promoted counts here once a second person has approved it: {names}. This file says so, and
nothing that comes out of the store can lift it, no tool either:

    install -m 0644 minimum.json {trust}/minimum.json

Who copies a tool here should look at both signatures by hand, since it is the tool that asks for
the second one later: docs/decisions/promotion.md, "The tool itself".

"""


def lay(site: Site, folder: Path) -> list[str]:
    """Fill the folder; the names of its files. HostError where the signing key is missing."""
    signature.ready(site.signing.key, create=site.signing.create, identity=site.signing.identity)
    public = signature.public_key(site.signing.key)
    ownership.private_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    files.write_text(folder / "allowed_signers", signature.allowed_line(
        site.signing.identity, public) + signature.lines_for(
            site.signing.identity, site.signing.colleagues, site.signing.approvers))
    if site.signing.approvers:
        files.write_json(folder / "minimum.json", {"approvers": sorted(site.signing.approvers)})
    addresses = _addresses(site)
    if addresses:
        if site.ca is not None:
            _copy_ca(site.ca, folder / "ca.crt")
        files.write_json(folder / "config.json.template", {"auths": {
            address: {"auth": f"@LOGIN {address}@"} for address in addresses}})
        files.copy(LOGIN, folder / "login.sh")
    shown = processes.run(["ssh-keygen", "-l", "-f", "-"], stdin=f"{public}\n".encode(),
                          todo=signature.INSTALL).split()
    keys = [f"{shown[1]} {shown[-1]}", *(
        f"{signature.fingerprint(key)} {name}{what}" for people, what in (
            (site.signing.colleagues, ""), (site.signing.approvers, " (approves)"))
        for name, key in people.items())]
    files.write_text(folder / "INSTALL.txt", _install(
        site, addresses, "\n".join(f"    {key}" for key in keys)))
    return sorted(path.name for path in folder.iterdir())


def _addresses(site: Site) -> list[str]:
    """The registries that offline hosts ask: none where releases carry image files."""
    at = site.registry
    if at is None or site.images.carry == FILES:
        return []
    return list(dict.fromkeys([at.address, *(
        place.partition("/")[0] for place in at.repositories.values())]))


def _copy_ca(ca: Path, target: Path) -> None:
    try:
        files.copy(ca, target)
    except OSError as error:
        raise RegistryError(f"the registry's CA file can't be read: {error.strerror}", where=ca,
                            todo="correct registry.ca in the site's file") from error


def _install(site: Site, addresses: list[str], fingerprint: str) -> str:
    trust = shlex.quote(str(site.offline.trust))
    ca, engine = "", ""
    if addresses and site.ca is not None:
        ca = f"    install -m 0644 ca.crt {trust}/ca.crt\n"
    if site.offline.engine == PODMAN:
        engine = OF_PODMAN
    elif ca:
        engine = "\n".join([
            "The engine trusts the registry by a file of its own:\n",
            *(f"    install -D -m 0644 ca.crt /etc/docker/certs.d/{address}/ca.crt"
              for address in addresses), "\n"])
    url = site.offline.store.url
    store = (f"The store is read at {url}. Put credentials that may only read into USER's\n"
             "~/.aws/credentials." if url.startswith("s3://") else
             f"The store is read at {url}: mount it there, read-only is enough.")
    may = ("may pull and push: images are loaded into it there"
           if site.images.carry == STORE else "may pull is enough")
    names = ", ".join(sorted(site.signing.approvers))
    least = '{"tool": 3, "pipelines": {"NAME": 12}' + (
        f', "approvers": {json.dumps(sorted(site.signing.approvers))}}}' if names else "}")
    return INSTALL.format(
        site=site.name, fingerprint=fingerprint, trust=trust, ca=ca, engine=engine,
        store=f"{store}\n", least=least, login=LOGGING_IN.format(
            may=may, trust=trust, address=addresses[0]) if addresses else "",
        approvals=APPROVALS.format(names=names, trust=trust) if names else "")
