"""What Maven is told of the environment's proxy: it reads no HTTPS_PROXY by itself.

It stands in a copy of the settings.xml that comes with Maven, where neither that nor the user's
own names a proxy: what somebody wrote there is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from tasks.core import files
from tasks.core.net.pools import proxy_for
from tasks.core.net.urls import without_login

USER, PASSWORD = "AIRLOCK_PROXY_USER", "AIRLOCK_PROXY_PASSWORD"
"""Variables of Maven's process alone: the proxy's login stands in no file and no argument."""

LOOPBACK = ("localhost", "127.*", "[::1]")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NO_PROXIES = re.compile(r"<proxies\s*>\s*</proxies\s*>|<proxies\s*/>")


def for_proxy(folder: Path, *, maven: str, user: str, asked: str, environment: Mapping[str, str]
              ) -> tuple[list[str], dict[str, str]]:
    """The words that tell Maven by which proxy `asked` is asked, and the variables that they take.

    `user` is the text of the user's settings.xml. Both are empty without a proxy, and where
    settings name one already.
    """
    proxy = proxy_for(asked)
    installed = Path(maven).resolve().parents[1] / "conf/settings.xml"
    text = _COMMENT.sub("", installed.read_text(errors="replace") if installed.is_file()
                        else "<settings></settings>")
    if proxy is None or "<proxy>" in text + _COMMENT.sub("", user):
        return [], {}
    address, login = without_login(proxy)
    start, end, rest = _NO_PROXIES.sub("", text).rpartition("</settings>")
    path = folder / "proxy-settings.xml"
    proxies = _proxies(address, environment, bool(login))
    files.write_text(path, f"{start}{proxies}{end}{rest}", mode=0o600)
    name, _, password = urlsplit(proxy).netloc.rpartition("@")[0].partition(":")
    variables = {USER: unquote(name), PASSWORD: unquote(password)} if login else {}
    return ["--global-settings", str(path)], variables


def _proxies(address: str, environment: Mapping[str, str], has_login: bool) -> str:
    """A proxy of `http` is one of https too (DefaultProxySelector of maven-resolver)."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    login = (f"<username>${{env.{USER}}}</username><password>${{env.{PASSWORD}}}</password>"
             if has_login else "")
    return ("<proxies><proxy><id>environment</id><active>true</active><protocol>http</protocol>"
            f"<host>{escape(parts.hostname or '')}</host><port>{port}</port>{login}"
            f"<nonProxyHosts>{escape('|'.join(_direct(environment)))}</nonProxyHosts>"
            "</proxy></proxies>")


def _direct(environment: Mapping[str, str]) -> Iterable[str]:
    """NO_PROXY in Java's form: a name there stands for what is below it, too."""
    named = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [word.strip().lstrip(".").partition(":")[0] for word in named.split(",")]
    return [*LOOPBACK, *(form for host in hosts if host for form in (host, f"*.{host}"))]
