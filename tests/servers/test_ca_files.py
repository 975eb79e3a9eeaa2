"""Files of CAs that are missing, no certificates or a folder: named by their path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import HostError, RegistryError
from tasks.core.net import certificates, s3_http
from tasks.core.net.inner_addresses import EVERYWHERE, NOWHERE
from tasks.core.net.network import Network
from tasks.core.net.request import Transport
from tests.kit.tls import self_signed
from tests.kit.web import Quiet, Server, running

NEAR = Network(inside=EVERYWHERE)


class Nothing(Quiet):
    """Answers without a body."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """What may stand where a CA's certificate should."""
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "empty.pem").touch()
    (tmp_path / "garbage.pem").write_bytes(bytes(range(256)))
    (tmp_path / "key.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                      "-----END CERTIFICATE-----\n")
    return {name: tmp_path / name for name in ("no-such.pem", "a-folder", "empty.pem",
                                               "garbage.pem", "key.pem")}


@pytest.mark.parametrize(("name", "said"), [
    ("no-such.pem", "is missing"), ("a-folder", "is no file"), ("empty.pem", "no PEM certificate"),
    ("garbage.pem", "no PEM certificate"), ("key.pem", "no PEM certificate")])
def test_registry_ca(files: dict[str, Path], name: str, said: str) -> None:
    with pytest.raises(RegistryError, match=f"the registry's CA file .*{said}") as caught:
        Transport(NEAR, files[name])
    assert str(files[name]) in str(caught.value)
    assert "registry.ca" in str(caught.value)


def test_a_ca_that_cannot_be_read() -> None:
    """Root reads every file but such."""
    with pytest.raises(RegistryError, match=r"can't be read \(Input/output error\)") as caught:
        Transport(NEAR, Path("/proc/self/mem"))
    assert "/proc/self/mem" in str(caught.value)


def test_a_ca_with_comments_in_any_language_is_taken(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "own")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes("# Autorité de certification\n".encode() + certificate.read_bytes()
                       + b"# \xff\n")
    with running(Server(Nothing, tls=(certificate, key))) as server:
        assert Transport(NEAR, bundle).send("GET", server.url, {}).status == 204


@pytest.mark.parametrize(("name", "said"), [
    ("no-such.pem", "is missing"), ("garbage.pem", "is no PEM certificate"), ("own.crt", None)])
def test_a_ca_file_of_the_environment_that_is_of_no_use_is_named(
        files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
        said: str | None) -> None:
    """OpenSSL passes over it in silence."""
    pair = self_signed(tmp_path, "own")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with running(Server(Nothing, tls=pair)) as server:
        if said is None:
            assert Transport(Network(inside=EVERYWHERE)).send("GET", server.url, {}).status == 204
            return
        with pytest.raises(RegistryError, match="is not trusted") as caught:
            Transport(Network(inside=EVERYWHERE)).send("GET", server.url, {})
    assert f"SSL_CERT_FILE ({tmp_path / name}, which {said})" in str(caught.value)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("name", ["no-such.pem", "garbage.pem", "empty.pem"])
def test_a_bundle_for_buckets_that_are_read(files: dict[str, Path], variable: str, name: str,
                                            monkeypatch: pytest.MonkeyPatch,
                                            bucket_credentials: None) -> None:
    import boto3
    client = boto3.client("s3", region_name="us-east-1")
    for other in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, str(files[name]))
    with pytest.raises(HostError, match="file of trusted certificates is") as caught:
        s3_http.use(client, NOWHERE, connections=1)
    assert str(files[name]) in str(caught.value)


def test_which_are_trusted_is_said_in_words(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert certificates.trusted(None) == "this system's own"
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert certificates.trusted(None) == f"SSL_CERT_DIR ({tmp_path})"
    assert certificates.trusted("/x.pem") == "/x.pem"
