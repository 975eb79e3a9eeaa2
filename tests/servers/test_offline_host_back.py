"""An offline host through a release's life: back with a reason, withdrawn, held; and its attackers.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.errors import ConfigError, HostError, IntegrityError
from tasks.core.in_place import InPlace
from tasks.core.offline_paths import OfflinePaths
from tasks.core.trust import links, promotions, signature
from tasks.core.trust.promotions import Withdrawn
from tasks.offline_host import memory, run
from tasks.offline_host.fetch import fetch
from tests.kit import runs
from tests.kit.chains import HELLO, clone, promote
from tests.kit.releases import Staged, change_code, stage

POINTER = Path("store/releases/hello/current.json")
PROMOTIONS = Path("store/releases/hello/promotions")


@dataclasses.dataclass(kw_only=True)
class Life:
    """Two releases in a store, the second the current one, and hosts that trust their signer."""

    staged: Staged
    first: str
    second: str

    def promote(self, name: str, *, back: str | None = None,
                withdrawing: Withdrawn | None = None) -> int:
        """Sign the next promotion; its number."""
        with clone("ours", self.staged.store, self.staged.signing) as here:
            return promote(here, name, back=back, withdrawing=withdrawing).number

    def fetch(self, name: str | None = None, *, hold: bool | None = None,
              host: str = "there") -> str:
        """Let a host fetch; the id of what is in place then. Hosts share their user's memory."""
        prod = OfflinePaths(site=host, pipeline="hello")
        fetch(dataclasses.replace(dataclasses.replace(self.staged, prod=prod).fetch_spec(name),
                                  hold=hold))
        return str(json.loads(prod.current.read_text())["id"])


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    monkeypatch.chdir(tmp_path)
    staged = stage()
    first = staged.publish()
    change_code(staged, b"workflow { 2 }\n")
    second = staged.publish()
    staged.trust_key()
    made = Life(staged=staged, first=first, second=second)
    made.promote(second)
    yield made


def test_a_signed_going_back_is_taken_with_its_reason(
        life: Life, caplog: pytest.LogCaptureFixture) -> None:
    assert life.fetch() == life.second
    number = life.promote(life.first, back="the new one \u202eloses reads")
    assert life.fetch() == life.first
    assert (f"WENT BACK: {life.first} is the current release again, by promotion {number} of "
            ) in caplog.text
    assert r"the reason given: the new one \u202eloses reads" in caplog.text
    caplog.clear()
    assert life.fetch() == life.first
    assert "WENT BACK" in caplog.text, "until another promotion follows"
    life.promote(life.second)
    caplog.clear()
    caplog.set_level("INFO")
    assert life.fetch() == life.second
    assert "WENT BACK" not in caplog.text
    assert f"{life.first} was in place; the current one, {life.second}, takes its place" in (
        caplog.text)


def test_an_old_pointer_is_an_error_from_whatever_folder(life: Life) -> None:
    before = POINTER.read_bytes()
    life.promote(life.first, back="it fails")
    life.fetch()
    POINTER.write_bytes(before)
    for host in ("there", "elsewhere"):
        with pytest.raises(IntegrityError, match="seen number 4: it is older"):
            life.fetch(host=host)


def test_a_withdrawn_release_is_refused_everywhere_by_a_host_that_knows(
        life: Life, caplog: pytest.LogCaptureFixture) -> None:
    assert life.fetch(life.second) == life.second
    life.promote(life.first, back="a leak", withdrawing=Withdrawn(id=life.second, reason="a leak"))
    with pytest.raises(IntegrityError, match=f"{life.second} was withdrawn.*: a leak") as caught:
        life.fetch(life.second)
    assert "./doit role=prod pipeline=hello" in str(caught.value)
    assert caplog.text.count(f"WITHDRAWN: {life.second} is not run any more") == 1
    place = OfflinePaths(site="there", pipeline="hello")
    place.bootstrap.write_text(json.dumps(bootstrapped(life.second)))
    with pytest.raises(IntegrityError, match=f"{life.second} was withdrawn"):  # offline, in place
        run.run_test(runs.spec(pipeline="hello", layout=place, seen=life.staged.host.seen,
                               place=InPlace(place)))
    assert life.fetch() == life.first
    shutil.rmtree("store/releases/hello/promotions")  # it tells nothing any more
    with pytest.raises(IntegrityError, match="was withdrawn"):
        life.fetch(life.second)
    assert "what was withdrawn since this host's last fetch isn't known" in caplog.text


def bootstrapped(name: str) -> dict[str, object]:
    """What a bootstrap has left, as far as it is read before a run."""
    return {"pipeline": "hello", "release": name, "nextflow": "24.10.5", "profile": "test",
            "run": "stub", "images": [], "engine": {
                "kind": "docker", "environment": {"DOCKER_HOST": "x"}}, "work": "/work",
            "limits": {"cpus": 1, "memory": 1}, "launch": {
                "launcher": "/x", "java": "/x", "home": "/x", "code": "/x", "tree": "/x",
                "configs": [], "params": "/x", "host_params": "/x", "folder": "/x"}}


def test_where_the_current_one_is_withdrawn_and_none_follows_nothing_runs(life: Life) -> None:
    life.fetch()
    life.promote(life.second, withdrawing=Withdrawn(id=life.second, reason="a leak"))
    with pytest.raises(IntegrityError, match="was withdrawn") as caught:
        life.fetch()
    assert "no other release has taken its place yet" in str(caught.value)
    assert memory.withdrawn(life.staged.host.seen, "hello") == {life.second: "a leak"}
    assert life.fetch(life.first) == life.first
    life.promote(life.first, back="the one before the leak")
    assert life.fetch() == life.first


def test_a_host_that_knows_of_a_withdrawal_takes_no_promotion_without_it(life: Life) -> None:
    life.promote(life.second, withdrawing=Withdrawn(id=life.first, reason="a leak"))
    life.fetch()
    with clone("ours", life.staged.store, life.staged.signing) as here:
        newest = promotions.current(here.store, HELLO, here.trust)
        forge(life, dataclasses.replace(newest, number=5, predecessor=newest.sha256, withdrawn=()))
    with pytest.raises(IntegrityError, match=rf"no longer says that {life.first} was withdrawn"):
        life.fetch()
    with pytest.raises(IntegrityError, match="was withdrawn"):
        life.fetch(life.first)


def forge(life: Life, promotion: promotions.Promotion) -> None:
    """Have the trusted key sign a promotion that this tool wouldn't make, and point to it."""
    path = PROMOTIONS / f"{promotion.number:08}.json"
    path.write_bytes(promotion.data())
    path.with_name(f"{path.name}.sig").write_bytes(signature.sign(
        life.staged.signing.key, promotion.data(), namespace=signature.PROMOTION))
    POINTER.write_bytes(promotion.pointer())


def test_two_promotions_under_one_number_are_noticed(life: Life) -> None:
    """By mistake: a store was copied, and both copies were promoted to."""
    shutil.copytree("store", "other")
    life.promote(life.first, back="it fails")
    life.fetch()
    shutil.rmtree("store")
    shutil.move("other", "store")
    Path("ours/promoted.json").unlink()
    life.promote(life.second)
    for more in (0, 1):
        with pytest.raises(IntegrityError, match="follows another number 4 than this host"):
            life.fetch()
        if not more:
            life.promote(life.second)


def test_a_store_that_hides_a_promotion_between_is_noticed(life: Life) -> None:
    life.fetch()
    for _ in range(3):
        life.promote(life.second)
    (PROMOTIONS / "00000005.json").unlink()
    with pytest.raises(IntegrityError, match="the promotion before number 6 is missing") as caught:
        life.fetch()
    assert "00000005.json" in str(caught.value)
    (PROMOTIONS / "00000005.json").write_text("x" * 2**21)
    with pytest.raises(IntegrityError, match="is missing, or has changed"):
        life.fetch()
    life.fetch(host="fresh", name=life.second)


def test_one_by_an_older_tool_does_not_follow_a_chain(life: Life) -> None:
    life.fetch()
    with clone("ours", life.staged.store, life.staged.signing) as here:
        newest = promotions.current(here.store, HELLO, here.trust)
    forge(life, dataclasses.replace(newest, number=4, predecessor=None))
    with pytest.raises(IntegrityError, match="promotion 4 names none before it"):
        life.fetch()


def test_a_way_back_without_end_is_not_gone(
        life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    life.fetch()
    for _ in range(4):
        life.promote(life.second)
    monkeypatch.setattr(links, "MAX_LINKS", 2)
    with pytest.raises(IntegrityError, match="more than 2 promotions came after number 3"):
        life.fetch()
    monkeypatch.setattr(links, "MAX_LINKS", 4)
    life.fetch()


def test_a_reason_that_would_steer_a_terminal_is_no_promotion(life: Life) -> None:
    """The trusted key alone could sign it: another tool, or another hand."""
    with clone("ours", life.staged.store, life.staged.signing) as here:
        newest = promotions.current(here.store, HELLO, here.trust)
    for change in ({"back": "\x1b[2Jgone"}, {"back": "a\nFAILED"}, {"unproven": "\x9b31m"},
                   {"withdrawn": (Withdrawn(id=life.first, reason="\x07"),)},
                   {"withdrawn": (Withdrawn(id="../../x", reason="why"),)}):
        forge(life, dataclasses.replace(newest, number=4, predecessor=newest.sha256, **change))
        with pytest.raises(IntegrityError, match="this is no promotion") as caught:
            life.fetch()
        assert str(caught.value).replace("\n", "").isprintable()
    assert not life.staged.host.seen.exists()


def test_what_was_seen_by_an_older_tool_is_taken_as_it_is(life: Life) -> None:
    life.fetch()
    path = life.staged.host.seen / "releases/hello.json"
    path.write_text('{"number": 1}')
    for _ in range(2):
        life.promote(life.second)
    life.fetch()
    assert memory.seen(life.staged.host.seen, HELLO).number == 5
    path.write_text('{"number": 5}')
    life.fetch()
    assert memory.seen(life.staged.host.seen, HELLO).sha256 is not None


def test_a_host_that_was_away_for_60_promotions_and_a_fresh_one(life: Life) -> None:
    life.fetch()
    life.promote(life.first, back="it fails", withdrawing=Withdrawn(id=life.second, reason="leak"))
    with clone("ours", life.staged.store, life.staged.signing) as here:
        newest = promotions.current(here.store, HELLO, here.trust)
    for number in range(5, 65):
        newest = dataclasses.replace(newest, number=number, predecessor=newest.sha256, back=None)
        forge(life, newest)
    assert life.fetch() == life.first
    shutil.rmtree(life.staged.host.seen)
    assert life.fetch(host="fresh") == life.first
    with pytest.raises(IntegrityError, match="was withdrawn"):
        life.fetch(life.second, host="fresh")


def test_a_held_host_stays_and_says_so(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    assert life.fetch(life.first, hold=True) == life.first
    assert "HELD" not in caplog.text
    for host in ("there", "elsewhere"):
        caplog.clear()
        assert life.fetch(host=host) == life.first
        held, = (record.getMessage() for record in caplog.records if "HELD" in record.getMessage())
        assert f"this host stays at {life.first} since 20" in held
        assert f"the current one is {life.second}, promotion 3 of 20" in held
    assert life.fetch(life.second) == life.second  # for this once
    assert life.fetch() == life.first
    caplog.clear()
    assert life.fetch(hold=False) == life.second
    assert life.fetch() == life.second
    assert "HELD" not in caplog.text
    with pytest.raises(ConfigError, match="hold=1") as caught:
        life.fetch(hold=True)
    assert f"release={life.second} hold=1" in str(caught.value)


def test_a_held_host_runs_what_is_in_place_while_the_store_is_away(
        life: Life, caplog: pytest.LogCaptureFixture) -> None:
    life.fetch()
    life.fetch(life.first, hold=True)
    Path("store").rename("elsewhere")
    caplog.clear()
    assert life.fetch() == life.first
    said = [record.getMessage() for record in caplog.records]
    assert sum("HELD" in line for line in said) == 1
    assert sum("STORE NOT REACHED" in line for line in said) == 1
    assert not any("isn't known" in line for line in said)


def test_a_held_release_that_is_withdrawn_is_refused(life: Life) -> None:
    life.fetch(life.first, hold=True)
    life.promote(life.second, withdrawing=Withdrawn(id=life.first, reason="a leak"))
    with pytest.raises(IntegrityError, match=r"was withdrawn.*: a leak") as caught:
        life.fetch()
    assert "hold=0 goes on to the current one" in str(caught.value)
    assert life.fetch(hold=False) == life.second


def test_a_fetch_that_fails_holds_nothing(life: Life) -> None:
    with pytest.raises(IntegrityError, match="was withdrawn"):
        life.promote(life.second, withdrawing=Withdrawn(id=life.first, reason="a leak"))
        life.fetch(life.first, hold=True)
    assert life.fetch() == life.second


def test_a_held_host_is_none_of_another_users_and_can_t_be_broken_unnoticed(life: Life) -> None:
    """Who has another state folder has another memory: minimum.json is for all."""
    life.fetch(life.first, hold=True)
    path = life.staged.host.seen / "releases/hello.held.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{}")
    with pytest.raises(HostError, match="goes on to the current release"):
        life.fetch()
