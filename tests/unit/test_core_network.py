"""The network that specs are handed: one for a process, whatever the step."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.core.config.load import load
from tasks.core.graph.deferred import Call
from tasks.core.net.inner_addresses import EVERYWHERE
from tasks.core.net.network import Network
from tests.unit.test_core_graph import all_tasks


def networks(value: Any) -> Iterator[Network]:
    """Those in a spec that was not made yet."""
    if isinstance(value, Network):
        yield value
    elif isinstance(value, Call):
        for field in value.fields.values():
            yield from networks(field)


def test_all_steps_of_a_process_share_the_limits_of_hosts(project: Path) -> None:
    by_step = {task["basename"]: list(networks(task["actions"][0][1][2]))
               for task in all_tasks() if task.get("actions")}
    handed = {name: found for name, found in by_step.items() if found}
    assert {"mirror:data", "plugins:cache", "images:lock", "images:mirror", "dev:validate",
            "prod:bootstrap"} <= set(handed)
    online = [found for name, found in handed.items() if not name.startswith("prod:")]
    assert len({id(network.hosts) for found in online for network in found}) == 1


def test_another_process_shares_nothing(project: Path) -> None:
    network = Network.of(load({"role": "prod"}))
    assert network.inside == EVERYWHERE
    network.hosts.at("example.org").rest(9)
    other = pickle.loads(pickle.dumps(network))  # noqa: S301 - as spawned processes do
    assert other == network
    assert other.hosts.at("example.org").rest_until == 0
