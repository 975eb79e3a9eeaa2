"""What an engine tells of the images that tasks ran in, and what is said where it doesn't."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound
from requests.exceptions import ReadTimeout

from tasks.core.engine import daemon, held
from tasks.core.engine.address import Engine
from tasks.core.errors import HostError

ENGINE = Engine(url="unix:///none")
THERE = "nexus/q/scale@sha256:" + "a" * 64


class Client:
    """An engine that holds one image."""

    images = property(lambda self: self)

    def version(self) -> dict[str, str]:
        return {"Version": "28.2.2"}

    def get(self, name: str) -> Any:
        if name == THERE:
            return SimpleNamespace(id="sha256:1", attrs={"RepoDigests": [THERE, "a@sha256:2"]})
        raise {"gone": ImageNotFound("no"), "odd": APIError("bad name"),
               "slow": ReadTimeout("too slow")}[name]


def test_each_image_is_told_by_its_digests_or_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "connect", lambda *_, **__: Client())
    known = held.images(ENGINE, ["slow", THERE, "gone", THERE, "odd"])
    assert known[THERE] == held.Held(id="sha256:1", digests=("a@sha256:2", THERE))
    assert {name: image.why_not for name, image in known.items() if name != THERE} == {
        "gone": "the engine holds no such image", "odd": "bad name", "slow": "too slow"}
    assert held.version(ENGINE) == "28.2.2"


@pytest.mark.parametrize("fault", [HostError("none answers"), ReadTimeout("too slow")])
def test_an_engine_that_does_not_answer_costs_no_record(
        monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def silent(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(daemon, "connect", silent)
    assert held.images(ENGINE, [THERE])[THERE].why_not == str(fault)
    assert held.images(ENGINE, []) == {}
    with pytest.raises(HostError):
        held.version(ENGINE)
