"""A real push and a real fetch under the policies that aws:policies writes, and what they deny.

The stand-ins ignore policies' conditions, so a front weighs every request by our evaluator.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.aws.documents import KEY_ADMINISTRATION
from tasks.aws.lockdown import Lockdown
from tasks.aws.policies import DOCUMENTS, PoliciesSpec, write_policies
from tasks.core import files
from tasks.core.aws.evaluate import Access, decide
from tasks.core.aws.paths import AwsPaths
from tasks.core.aws.policy import Statement, document
from tasks.core.config.aws_settings import AwsRoles, StoreAt
from tasks.core.errors import AirlockError, IntegrityError, StoreError
from tasks.core.paths import SitePaths
from tasks.core.store.s3 import S3Store
from tasks.core.store.s3_client import Body, Bucket, Request
from tasks.core.store.send import Upload, send
from tasks.core.store.store import open_store
from tasks.offline_host.fetch import fetch
from tasks.release import prune, push, sign, tool
from tests.kit import buckets, pruning, tls
from tests.kit.policy_front import OWNER, REGION, Caller, PolicyFront, Rules
from tests.kit.releases import Staged, change_code, stage
from tests.kit.web import running

VPCE, OTHER_VPCE = "vpce-0a1b2c3d4e5f60718", "vpce-0fffffffffffffff0"
KEY = f"arn:aws:kms:{REGION}:{OWNER}:key/0a1b"
STRANGER = "arn:aws:iam::444455556666:role/anybody"
ANYTHING = document([Statement(sid="All", effect="Allow", actions=("s3:*",), resources=("*",))])
MOST = 2**24


@dataclass(frozen=True, kw_only=True)
class Site:
    """A locked down bucket with two roles, an administrator and a stranger, and ways to it."""

    rules: Rules
    documents: dict[str, Any]
    ways: dict[str, PolicyFront]
    root: Path
    monkeypatch: pytest.MonkeyPatch

    def at(self, who: str, way: str = "endpoint") -> StoreAt:
        """The store as somebody sees it by one way; the credentials are theirs from here on."""
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", who)
        return StoreAt(url="s3://carried/some/prefix", endpoint=self.ways[way].url, region=REGION,
                       encryption="aws:kms", kms_key=KEY)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Gateway]:
    with buckets.gateway(tmp_path_factory.mktemp("s3")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return tls.certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def site(server: buckets.Gateway, certificate: tuple[Path, Path, Path], tmp_path: Path,
         monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(server.root / "carried", ignore_errors=True)
    (server.root / "carried").mkdir()
    ca, *pair = certificate
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not weighed")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    lock = Lockdown(url="s3://carried/some/prefix", region=REGION, account=OWNER,
                    vpc_endpoints=(VPCE,), encryption="aws:kms", kms_key=KEY,
                    roles=AwsRoles(online="online", offline="offline", admin="admin"))
    at = AwsPaths(site="here")
    names = tuple(DOCUMENTS)
    write_policies(PoliciesSpec(layout=at, lock=lock, names=names))
    written = {name: json.loads(at.policy(name).read_text()) for name in names}
    callers = {
        "online": Caller(role=lock.role("online"), identity=(written["online-role"],)),
        "offline": Caller(role=lock.role("offline"), identity=(written["offline-role"],)),
        "all-mighty": Caller(role=lock.role("online"), identity=(ANYTHING,)),
        "admin": Caller(role=lock.role("admin"), identity=(ANYTHING,)),
        "stranger": Caller(role=STRANGER, identity=(ANYTHING,))}
    rules = Rules(callers=callers, bucket=written["bucket-policy"],
                  endpoint=written["endpoint-policy"], key=(KEY, written["key-policy"]))
    both = (pair[0], pair[1])
    with contextlib.ExitStack() as stack:
        ways = {name: stack.enter_context(running(PolicyFront(
            rules, server.endpoint, tls=secure, vpce=vpce))) for name, secure, vpce in (
                ("endpoint", both, VPCE), ("plain", None, VPCE), ("internet", both, None),
                ("other endpoint", both, OTHER_VPCE))}
        yield Site(rules=rules, documents=written, ways=ways, root=server.root / "carried",
                   monkeypatch=monkeypatch)


def publish(site: Site) -> Staged:
    """Everything that a push does: release, smoke run, tool, a promotion after another."""
    staged = dataclasses.replace(stage(), store=site.at("online"))
    staged.publish()
    for name in ("smoke.log", "trace.txt", "report.html", "DAG.svg"):
        files.write_text(staged.layout.smoke / name, name)
    push.push_smoke(staged.push_spec("smoke"))
    layout = SitePaths(site="here")
    wheel, archive = layout.tool / "wheels/doit-1.whl", layout.tool / "airlock.tar"
    files.write_text(wheel, "a wheel")
    files.write_text(archive, "an archive")
    described, _ = tool.describe("here", {"airlock.tar": b"an archive"}, [wheel])
    files.write_bytes(layout.tool / "tool.json", described)
    sign.sign_tool(sign.SignToolSpec(layout=layout, signing=staged.signing))
    tool.push(tool.PushToolSpec(layout=layout, store=staged.store, signing=staged.signing))
    large(site, b"in parts" * 2**20)
    _send_cli(site)
    return staged


def _send_cli(site: Site) -> None:
    """What batch:host sends beside the archive of the CLI, by the same helper."""
    path = Path("cli.json")
    path.write_text("{}")
    digest = files.sha256(path)
    send(open_store(site.at("online")), [Upload(
        key=f"cli/{digest[:12]}/cli.json", path=path, sha256=digest, size=2)])


def large(site: Site, data: bytes) -> None:
    """A file in parts, and one whose bytes changed under way, so that its upload is abandoned."""
    path = Path("large")
    path.write_bytes(data)
    store = S3Store(site.at("online"), single=2**20, part=5 * 2**20)
    digest = files.sha256(path)
    store.put(f"blobs/sha256/{digest}/large", path, digest)
    assert store.head(f"blobs/sha256/{digest}/large") is not None
    with pytest.raises(IntegrityError, match="has changed"):
        store.put(f"blobs/sha256/{'0' * 64}/large", path, "0" * 64)


def take(site: Site, staged: Staged) -> None:
    """Everything that the offline host does: the tool by hand, then the release."""
    store = open_store(site.at("offline"))
    for key in store.list("tool/"):
        store.get(key, Path("taken") / key, most=MOST)
    staged.trust_key()
    fetch(dataclasses.replace(staged, store=site.at("offline")).fetch_spec())


def test_a_real_push_and_fetch_use_every_right_and_need_every_one(site: Site) -> None:
    staged = publish(site)
    take(site, staged)
    assert (staged.prod.release(staged.id()) / "code.tar").is_file()
    asked = site.rules.asked
    assert len(asked) > 60
    assert [access for access, allowed in asked if not allowed] == []
    for name in ("online-role", "offline-role", "endpoint-policy", "key-policy"):
        assert list(idle(site, name)) == [], name


def idle(site: Site, name: str) -> Iterator[str]:
    """Actions and resources of a document without which all that was asked is allowed as well."""
    for number, statement in enumerate(site.documents[name]["Statement"]):
        for element in ("Action", "Resource"):
            listed = statement[element]
            whole = [listed] if isinstance(listed, str) else listed
            if {*whole} == {*KEY_ADMINISTRATION} or (name, element) == ("key-policy", "Resource"):
                continue  # the account's administrators use those, and a key's resource is itself
            for one in whole:
                less = copy.deepcopy(site.documents[name])
                rest = [other for other in whole if other != one]
                if rest:
                    less["Statement"][number][element] = rest
                else:
                    del less["Statement"][number]
                if all(decide(access, replaced(site, name, less, access)).allowed
                       for access, _ in site.rules.asked):
                    yield f"{statement['Sid']}: {one}"


def replaced(site: Site, name: str, less: dict[str, Any], access: Access) -> Any:
    """The policies that have a say in an access, one of them with a right less."""
    policies = site.rules.policies(access)
    whole = site.documents[name]

    def swap(policy: Any) -> Any:
        return less if policy == whole else policy

    return dataclasses.replace(policies, identity=[swap(one) for one in policies.identity],
                               resource=swap(policies.resource), endpoint=swap(policies.endpoint))


@pytest.mark.parametrize(("name", "action"), [
    ("online-role", "s3:PutObject"), ("online-role", "s3:GetObject"),
    ("online-role", "s3:ListBucket"), ("endpoint-policy", "s3:PutObject"),
    ("key-policy", "kms:GenerateDataKey"), ("key-policy", "kms:Decrypt")])
def test_a_real_push_fails_without_a_right(site: Site, name: str, action: str) -> None:
    strip(site, name, action)
    with pytest.raises(StoreError, match="access is denied"):
        publish(site)


@pytest.mark.parametrize(("name", "action"), [
    ("offline-role", "s3:GetObject"), ("offline-role", "s3:ListBucket"),
    ("key-policy", "kms:Decrypt")])
def test_a_real_fetch_fails_without_a_right(site: Site, name: str, action: str) -> None:
    staged = publish(site)
    strip(site, name, action)
    with pytest.raises(AirlockError, match="access is denied"):
        take(site, staged)


def strip(site: Site, name: str, action: str) -> None:
    """Take one action out of a document that the front weighs by."""
    for statement in site.documents[name]["Statement"]:
        listed = statement["Action"]
        rest = [one for one in ([listed] if isinstance(listed, str) else listed) if one != action]
        statement["Action"] = rest or ["s3:GetObjectAcl"]


RELEASE = "releases/hello/1.0-0123456789ab/SHA256SUMS"


def ask(site: Site, who: str, way: str, method: str, key: str = RELEASE, *, body: bytes = b"",
        headers: dict[str, str] | None = None) -> int:
    """The status that a request gets."""
    at = site.at(who, way)
    return Bucket(at).ask(Request(
        method=method, key=f"some/prefix/{key}", body=Body.of(body), headers=headers or {},
        query={}, accept=(403, 404, 412))).status


def stored(site: Site, key: str = RELEASE, data: bytes = b"first") -> Path:
    """A file that is in the bucket already, as its server has it on the disk."""
    path = site.root / "some/prefix" / key
    path.unlink(missing_ok=True)
    at = dataclasses.replace(site.at(buckets.ACCESS), region="us-east-1", encryption=None,
                             endpoint=site.ways["plain"].behind)
    with site.monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", buckets.SECRET)
        open_store(at).put_bytes(key, data)
    return path


SSE = "x-amz-server-side-encryption"
ENCRYPTED = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": KEY}
ONCE = {**ENCRYPTED, "if-none-match": "*"}


@pytest.mark.parametrize(("who", "way", "method", "headers", "status"), [
    ("offline", "endpoint", "GET", {}, 200),
    ("offline", "plain", "GET", {}, 403), ("offline", "internet", "GET", {}, 403),
    ("offline", "other endpoint", "GET", {}, 403), ("stranger", "endpoint", "GET", {}, 403),
    ("stranger", "internet", "GET", {}, 403), ("offline", "endpoint", "PUT", ONCE, 403),
    ("offline", "endpoint", "DELETE", {}, 403), ("online", "endpoint", "DELETE", {}, 403),
    ("all-mighty", "endpoint", "DELETE", {}, 403), ("online", "endpoint", "PUT", ENCRYPTED, 403),
    ("all-mighty", "endpoint", "PUT", ENCRYPTED, 403),
    ("online", "endpoint", "PUT", ONCE, 412), ("online", "plain", "PUT", ONCE, 403),
    ("online", "internet", "PUT", ONCE, 403), ("stranger", "endpoint", "PUT", ONCE, 403),
    ("admin", "internet", "GET", {}, 403),  # the key isn't the administrator's to use
    ("admin", "plain", "DELETE", {}, 403), ("admin", "internet", "DELETE", {}, 204),
])
def test_who_may_do_what_by_which_way(site: Site, who: str, way: str, method: str,
                                      headers: dict[str, str], status: int) -> None:
    path = stored(site)
    assert ask(site, who, way, method, body=b"other", headers=headers) == status
    if method != "GET" and status != 204:
        assert path.read_bytes() == b"first"


@pytest.mark.parametrize(("headers", "status"), [
    (ENCRYPTED, 200), ({}, 403), ({SSE: "AES256"}, 403), ({SSE: "aws:kms"}, 403),
    ({**ENCRYPTED, f"{SSE}-aws-kms-key-id": f"{KEY}2"}, 403)])
def test_only_a_put_with_the_right_encryption_gets_in(site: Site, headers: dict[str, str],
                                                      status: int) -> None:
    key = f"releases/{status}-{len(headers)}/current.json"
    assert ask(site, "online", "endpoint", "PUT", key, body=b"x", headers=headers) == status
    assert (site.root / "some/prefix" / key).exists() == (status == 200)


def test_a_push_that_asks_for_no_encryption_says_what_to_set(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    at = dataclasses.replace(site.at("online"), encryption=None, kms_key=None)
    with pytest.raises(StoreError, match="access is denied"):
        open_store(at).put(f"blobs/sha256/{files.sha256(path)}/f", path, files.sha256(path))


def test_a_blob_is_never_replaced_and_the_push_says_so(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"right")
    digest = files.sha256(path)
    key = f"blobs/sha256/{digest}/f"
    stored(site, key, b"wrong")
    with pytest.raises(StoreError, match="doesn't let it be replaced"):
        open_store(site.at("online")).put(key, path, digest)
    assert (site.root / "some/prefix" / key).read_bytes() == b"wrong"


@pytest.mark.parametrize("act", [
    lambda store, path: store.put("work/f", path, files.sha256(path)),
    lambda store, path: store.get("work/f", path, most=MOST),
    lambda store, path: store.list("work/")])
def test_what_is_not_the_stores_is_out_of_the_roles_reach(
        site: Site, tmp_path: Path, act: Callable[[S3Store, Path], object]) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match="access is denied"):
        act(S3Store(site.at("online")), path)


def test_the_pushing_role_prunes_by_list_and_the_administrator_by_hand(site: Site) -> None:
    """The administrator may delete, and opens no file: the key isn't theirs to use."""
    staged = dataclasses.replace(stage(), store=site.at("online"))
    old = staged.publish()
    change_code(staged, b"another")
    new = staged.publish()
    by_hand = Path("build/here/prune.by-hand.txt")
    for count in (3, 3):  # the release's list first; what it named once the list has gone
        prune.apply(pruning.spec(site.at("online")))
        keys = [line.removeprefix("s3://carried/some/prefix/")
                for line in by_hand.read_text().splitlines()]
        assert len(keys) == count
        assert [ask(site, "admin", "internet", "DELETE", key) for key in keys] == [204] * count
        site.at("online")
    assert keys[0].startswith("blobs/")
    prune.apply(pruning.spec(site.at("online")))
    assert not by_hand.exists()
    assert pruning.releases(site.at("online")) == {new}
    assert pruning.keys(site.at("online"), f".airlock/pruned/hello/{old}/")
    assert pruning.torn(site.at("online")) == {}
