"""What is fetched from the internet: Nextflow itself, plugins and code; and by which proxies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core import config_places, processes
from tasks.core.config.settings import Pipeline, PluginsAt
from tasks.core.errors import AirlockError
from tasks.core.findings import FAIL, OK, WARN, Finding, failed
from tasks.core.net import urls
from tasks.core.net.pools import proxy_for
from tasks.doctor import reach
from tasks.doctor.reach import Address

SETTINGS = Path("~/.m2/settings.xml")
SYSTEM_CAS = "SSL_CERT_FILE"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def nextflow(pipeline: Pipeline, built: Path, mapped: Mapping[str, str]) -> Iterator[Finding]:
    """Where a pipeline's Nextflow comes from, unless it was built here before."""
    version = pipeline.nextflow.version
    name = f"Nextflow {version} ({pipeline.name})"
    if built.is_file():
        yield Finding(check="nextflow", status=OK, text=f"{name} was built before: {built}")
        return
    dist = pipeline.nextflow.dist
    if dist is None:
        yield from _maven(name, urls.mapped(urls.MAVEN_CENTRAL, mapped))
        return
    place = urls.mapped(dist, mapped)
    if urls.is_url(place) and not place.startswith("file:"):
        yield _answers("nextflow", f"{name}: its -dist", place,
                       "nextflow.dist of the pipeline's config", absent=FAIL)
        return
    path = Path(place.removeprefix("file://")).expanduser()
    there = path.is_file()
    yield Finding(check="nextflow", status=OK if there else FAIL,
                  text=f"{name}: {path}{'' if there else ' is missing'}",
                  cure=None if there else f"put the file of that release there (nextflow-{version}"
                                          "-dist), or correct nextflow.dist")


def _maven(name: str, central: str) -> Iterator[Finding]:
    try:
        processes.find("mvn", todo="install Maven (on Debian: apt-get install maven)")
    except AirlockError as error:
        yield failed("nextflow", error)
        return
    settings = SETTINGS.expanduser()
    own = settings.read_text(errors="replace") if settings.is_file() else ""
    if "<mirror>" in own:
        yield Finding(check="nextflow", status=OK,
                      text=f"{name}: from the mirror that {settings} names, which wasn't asked")
        return
    cure = "; or map it to a mirror in hosts.urls of the site's file"
    yield _answers("nextflow", f"{name}: Maven Central", central, f"the way to {central}", cure)


def plugins(at: PluginsAt, starts: str | None) -> Iterator[Finding]:
    """Whether the place that plugins are looked up at answers; `starts` is what starts it here."""
    place = at.index or at.registry or ""
    if place.startswith("file:"):
        there = Path(urlsplit(place).path).is_file()
        yield Finding(check="plugins", status=OK if there else FAIL, cure=None if there else
                      "correct plugins.index", text=f"{place}{'' if there else ' is missing'}")
        return
    yield _answers("plugins", "the index" if at.index else "the registry", place,
                   "plugins.index" if at.index else "plugins.registry", starts=starts,
                   absent=FAIL if at.index else None)


def code(pipeline: Pipeline, mapped: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the host of a pipeline's code answers; whether it lets us in, git says."""
    source, at = urls.mapped(pipeline.source, mapped), config_places.pipeline(pipeline.name)
    if pipeline.code.is_folder:
        there = Path(source).expanduser().is_dir()
        yield Finding(check="code", status=OK if there else FAIL,
                      text=f"{pipeline.name}: {source}{'' if there else ' is missing'}",
                      cure=None if there else f"correct `source` in {at}")
    elif source.startswith(("http://", "https://")):
        yield _answers("code", pipeline.name, urls.without_login(source)[0],
                       f"`source` in {at}", absent=WARN,
                       cure=", or, where it is private, set AIRLOCK_GIT_TOKEN")


def _answers(check: str, what: str, url: str, setting: str, cure: str = "",
             starts: str | None = None, absent: str | None = None) -> Finding:
    """Whether the host answers, without a fault of its own.

    `absent` is the status of the line where this very file isn't there; None where the address is
    only the beginning of others.
    """
    at = Address(url=url, setting=setting, trust=SYSTEM_CAS, starts=starts)
    try:
        answer = reach.ask(at)
    except AirlockError as error:
        return failed(check, AirlockError(f"{what}: {error.what}", todo=f"{error.todo}{cure}"))
    if answer.status >= 500:
        return Finding(check=check, status=WARN, text=f"{what}: {at.place} says {answer.status}",
                       cure="try again later, or map it to a mirror in hosts.urls")
    if absent and answer.status >= 400:
        return Finding(check=check, status=absent, text=f"{what}: {at.place} says {answer.status}",
                       cure=f"correct {setting}{cure}")
    return Finding(check=check, status=OK, text=f"{what}: {at.place} answers")


def proxies(asked: Sequence[str], environment: Mapping[str, str]) -> Finding:
    """Which hosts are asked by which proxy."""
    by_proxy: dict[str | None, list[str]] = {}
    for url in asked:
        place = urls.address(url)
        hosts = by_proxy.setdefault(proxy_for(url), [])
        if place and place not in hosts:
            hosts.append(place)
    unequal = [name for name in VARIABLES if name in environment
               and environment.get(name.upper(), environment[name]) != environment[name]]
    if unequal:
        return Finding(check="proxies", status=WARN, cure=f"set both alike, or unset {unequal[0]}",
                       text=f"{unequal[0]} and {unequal[0].upper()} differ; the first one counts")
    direct = by_proxy.pop(None, [])
    if not by_proxy:
        return Finding(check="proxies", status=OK,
                       text=f"none is used; asked directly: {', '.join(direct) or 'no host'}")
    through = "; ".join(f"{urls.shown(str(proxy))} for {', '.join(hosts)}"
                        for proxy, hosts in by_proxy.items())
    return Finding(check="proxies", status=OK,
                   text=f"{through}; directly: {', '.join(direct) or 'none'} (NO_PROXY)")
