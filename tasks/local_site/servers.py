"""The sandbox as a whole: up, down, status."""

from __future__ import annotations

from pathlib import Path

from tasks.core.errors import HostError
from tasks.local_site import (
    chromapipe,
    content,
    daemons,
    engines,
    host,
    images,
    network,
    packages,
    python_images,
    registries,
    trust,
)
from tasks.local_site.daemons import Daemon
from tasks.local_site.plan import OWN_ENGINES, STATE, Plan, SiteSpec, State, plan

PARTS = {"internet/registry": "internet registry", "internet/server": "internet files",
         "nexus": "organisation's registry", "engine": "online engine", "host": "offline host"}
"""The folders of the parts that run, with their names."""


def up(spec: SiteSpec) -> str:
    """Start what is not running; HostError where a part cannot, with the reason."""
    part = plan(spec.site)
    why_not = isolation(part)
    python = host.find_python(part.python)
    packages.provide(packages.PackagesSpec(unpacked=part.folder("packages"), kind=part.kind))
    if trust.prepare(part):
        daemons.stop(part.folder("nexus"))
    content.fill(part)
    if spec.chromapipe:
        chromapipe.fill(part)
    started: list[str] = []
    open_because = None
    if why_not is None:
        if network.up(part):
            daemons.stop(part.folder("host"))
            started.append("network")
        open_because = network.close(part)
        host.prepare(part)
    servers = _servers(part, python, isolated=why_not is None)
    started += [server.name for server in servers if daemons.start(server)]
    for server in servers:
        daemons.await_ready(server)
    started += images.fill(part)
    if spec.chromapipe:
        started += python_images.fill(part)
    state = State(isolated=why_not is None, why_not=why_not, address=part.address,
                  open_because=open_because, python=str(python.path),
                  python_prefix=str(python.prefix), registry_port=part.registry_port,
                  files_port=part.files_port, engine=str(part.engine) if part.engine else None)
    state.write(part.root)
    return "\n".join([f"started: {', '.join(started)}" if started else "all running",
                      *state.shortcomings(), *foreign_engine(spec.site.engine, part)])


def foreign_engine(url: str | None, part: Plan) -> list[str]:
    """Say that a site's engine isn't one that the sandbox starts, where none answers there."""
    if part.engine or url is None or not url.startswith("unix://"):
        return []
    if engines.answers(Path(url.removeprefix("unix://"))):
        return []
    return [f"no engine answers at {url}, and the sandbox starts none there: it starts its own one "
            f"below {OWN_ENGINES}… alone; set `engine: unix://{OWN_ENGINES}NAME/docker.sock` in "
            "the site's config for that"]


def offer_python(spec: SiteSpec) -> str:
    """Make and push the images with Python that the internet's registry lacks."""
    pushed = python_images.fill(plan(spec.site))
    return ", ".join(pushed) if pushed else "all there"


def down(spec: SiteSpec) -> str:
    """End this sandbox's own processes; remove its namespace, interface and sockets."""
    part = plan(spec.site)
    ended = [PARTS[name] for name in ("host", "internet/server", "internet/registry", "nexus")
             if daemons.stop(part.folder(name))]
    if engines.stop(part):
        ended.append(PARTS["engine"])
    if network.down(part):
        ended.append("network")
    engines.remove_cgroups(part)
    (part.root / STATE).unlink(missing_ok=True)
    return f"ended: {', '.join(ended)}" if ended else "nothing was running"


def status(spec: SiteSpec) -> str:
    """One line for each part."""
    part = plan(spec.site)
    where = {"internet/registry": f"127.0.0.1:{part.registry_port}",
             "internet/server": f"127.0.0.1:{part.files_port}", "nexus": part.registry_address,
             "engine": str(part.engine or "another engine is configured: own ones lie below "
                                            f"{OWN_ENGINES}…"),
             "host": f"{part.peer_address} in namespace {part.namespace}"}
    lines = [_line("network", "up" if network.is_up(part) else "down",
                   f"{part.interface} {part.address}/{part.prefix_length}")]
    for folder, name in PARTS.items():
        pid = daemons.running(part.folder(folder))
        lines.append(_line(name, f"running, process {pid}" if pid else "stopped", where[folder]))
    return "\n".join(lines)


def _line(name: str, state: str, where: str) -> str:
    return f"{name:<24} {state:<24} {where}"


def isolation(part: Plan) -> str | None:
    """Why there will be no isolated host, or None; HostError where even the rest can't start."""
    why = host.denied()
    if why is None and part.loopback:
        return "the registry listens on loopback, which an isolated host could not reach"
    if why is not None and not part.loopback:
        raise HostError(
            f"the registry's address {part.address} and the offline host need namespaces, but "
            f"{why}",
            todo="run as root; or go on without isolation, on loopback and with this host's "
                 "engine, if this user may use one (`docker info` tells):\n"
                 "    AIRLOCK_REGISTRY_HOST=127.0.0.1 "
                 "AIRLOCK_ENGINE=unix:///var/run/docker.sock ./doit")
    return why


def _servers(part: Plan, python: host.Python, *, isolated: bool) -> list[Daemon]:
    servers = [registries.internet(part), content.server(part), registries.nexus(part)]
    if isolated:
        servers.append(host.offline(part, python))
        if part.engine:
            servers.append(engines.online(part))
    return servers
