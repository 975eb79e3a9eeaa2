"""Images that stand in params, maps, functions, classes and `task.ext`: their values are known."""

from __future__ import annotations

import pytest

from tasks.images import scan as scanner
from tests.kit.image_values import SURE
from tests.kit.pipelines import Pipeline


@pytest.mark.parametrize("name", SURE)
def test_an_image_that_the_sources_decide_is_known(pipeline: Pipeline, name: str) -> None:
    sources, wanted = SURE[name]
    found = scanner.scan(pipeline(sources), {})
    images: dict[str, set[str]] = {}
    for use in found.uses:
        for called in use.aliases or [use.name]:
            images.setdefault(called, set()).add(use.container.removeprefix("docker.io/"))
    assert found.faults == []
    if name == "configs":  # of one process: which alias takes which, its selector asks in a run
        assert images.pop("ONE") == images.pop("TWO") == {"q/one:1", "q/two:1"}
        wanted = {process: image for process, image in wanted.items()
                  if process not in ("ONE", "TWO")}
    assert images == {process: {image} for process, image in wanted.items()}
