"""What may be asked of the engine through the gate: what Nextflow's own `docker` calls ask.

Pure functions: a request is answered by the one that is sent instead, or by Refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tasks.core.engine.create import LABEL, Rules, rebuilt
from tasks.core.engine.http import Refused, Request

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
IDENTITY = re.compile(r"[0-9a-f]{64}")
FLAG = re.compile(r"|0|1|true|false")
CONTAINER = re.compile(r"/containers/([A-Za-z0-9][A-Za-z0-9_.-]{0,127})(?:/([a-z]+))?")

ASKED: Mapping[tuple[str, str], Mapping[str, re.Pattern[str]]] = {
    ("POST", "start"): {},
    ("POST", "attach"): dict.fromkeys(("stdin", "stdout", "stderr", "stream", "logs"), FLAG),
    ("POST", "wait"): {"condition": re.compile(r"|not-running|next-exit|removed")},
    ("POST", "stop"): {"t": re.compile(r"|-?[0-9]{1,6}"),
                       "signal": re.compile(r"|[A-Z0-9+]{1,12}")},
    ("POST", "kill"): {"signal": re.compile(r"|[A-Za-z0-9+]{1,12}")},
    ("GET", "json"): {"size": FLAG},
    ("DELETE", ""): dict.fromkeys(("force", "v"), FLAG),
}
"""What a container of the gate's own may be asked, and what the query may say of it."""
PLAIN = {("GET", "/_ping"), ("HEAD", "/_ping"), ("GET", "/version")}


@dataclass(frozen=True, kw_only=True)
class Forward:
    """The request that is sent to the engine. `container` is the name of one that is made, or the
    identity of the one that is asked.
    """

    method: str
    target: str
    body: bytes = b""
    creates: bool = False
    attaches: bool = False
    removes: bool = False
    container: str = ""


def allowed(request: Request, body: bytes, rules: Rules,
            find: Callable[[str], str | None]) -> Forward:
    """The request to send for this one; `find` knows the gate's containers, by name or identity.

    Raises Refused, whose message says what it was that is not allowed.
    """
    if (request.method, request.path) in PLAIN:
        _hold(request, {}, body)
        return Forward(method=request.method, target=request.version + request.path)
    if (request.method, request.path) == ("POST", "/containers/create"):
        return _create(request, body, rules)
    match = CONTAINER.fullmatch(request.path)
    verb = (match[2] or "") if match else ""
    known = ASKED.get((request.method, verb))
    if match is None or known is None:
        raise Refused(f"{request.method} {request.path} is not among what a smoke run may ask")
    _hold(request, known, body)
    identity = find(match[1])
    if identity is None:
        raise Refused(f"No such container: {match[1]} (this run made none of that name)", 404)
    removes = request.method == "DELETE"
    query = {**request.query, **({"v": "1"} if removes else {})}
    path = f"/containers/{identity}" + (f"/{verb}" if verb else "")
    return Forward(method=request.method, container=identity, attaches=verb == "attach",
                   removes=removes,
                   target=request.version + path + (f"?{urlencode(query)}" if query else ""))


def _hold(request: Request, known: Mapping[str, re.Pattern[str]], body: bytes) -> None:
    if body.strip() not in (b"", b"{}", b"null"):
        raise Refused(f"{request.method} {request.path} takes no body")
    for key, value in request.query.items():
        if key not in known or not known[key].fullmatch(value):
            raise Refused(f"{key!r} in the query of {request.method} {request.path}")


def _create(request: Request, body: bytes, rules: Rules) -> Forward:
    query = {key: value for key, value in request.query.items() if value}
    name = query.pop("name", "")
    if query or not (name == "" or NAME.fullmatch(name)) or IDENTITY.fullmatch(name):
        raise Refused("the query of a create may say a name alone")
    allowed_body = json.dumps(rebuilt(_decoded(body), rules)).encode()
    target = request.version + "/containers/create" + (f"?name={name}" if name else "")
    return Forward(method="POST", target=target, body=allowed_body, creates=True, container=name)


def _decoded(body: bytes) -> Mapping[str, Any]:
    def constant(name: str) -> Any:
        raise ValueError(name)

    try:
        container = json.loads(body.decode(), parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Refused("the body of a create is not JSON", 400) from error
    if not isinstance(container, dict):
        raise Refused("the body of a create is no object", 400)
    return container


def leftovers(launch: Path) -> str:
    """The request for the containers that an earlier gate of this launch folder left behind."""
    filters = json.dumps({"label": [f"{LABEL}={launch}"]})
    return f"/containers/json?{urlencode({'all': '1', 'filters': filters})}"
