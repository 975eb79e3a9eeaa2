"""An S3 server in memory that does otherwise than AWS, as its `ways` say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.kit.web import Quiet, Server, running

SSE = "x-amz-server-side-encryption"
SSE_KEY = f"{SSE}-aws-kms-key-id"
CHECKSUM = "x-amz-checksum-sha256"
KEY_ARN = "arn:aws:kms:us-west-2:111122223333:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
OTHER_ARN = KEY_ARN.replace("0a1b2c3d-", "ffffffff-")


Refused = tuple[int, str, str] | tuple[int, str]
"""Status and code of a refusal, and perhaps its message."""


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How the server differs from AWS, by what it does with a part of a request.

    checksums: kept, dropped, or refused with an error for the header. conditional: kept, ignored
    or refused. metadata: kept or dropped. encryption: kept, dropped, refused, silent in the answer
    to a put, or AES256 whatever is asked for. demands: without this encryption a put is denied.
    key: the KMS key that it takes. damages: it changes bytes that it keeps. region: the one that
    the bucket is in, where requests for another are refused. refuses: status, code and message of
    the answer to whatever would write.
    """

    checksums: str = "kept"
    conditional: str = "kept"
    metadata: str = "kept"
    encryption: str = "kept"
    demands: str | None = None
    key: str | None = KEY_ARN
    bucket_key: bool = True
    damages: bool = False
    region: str | None = None
    refuses: tuple[int, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An object with the headers that answers about it have."""

    data: bytes
    headers: Mapping[str, str]

    @property
    def tag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'  # noqa: S324 - what S3 has


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload in parts that is under way."""

    headers: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class OddBucket(Server):
    """The one bucket `bucket`; `asked` are method, key and headers of each request, in order.

    `probed` is how it treats the probe, where that differs from `ways`.
    """

    def __init__(self, ways: Ways, probed: Ways | None = None) -> None:
        super().__init__(Handler)
        self.ways, self.probed = ways, probed or ways
        self.objects: dict[str, Kept] = {}
        self.uploads: dict[str, Upload] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def count(self, method: str, part: str = "") -> int:
        """How many requests of a method were about keys with this part."""
        return sum(method == asked and part in key for asked, key, _ in self.asked)


@contextmanager
def odd_bucket(ways: Ways, probed: Ways | None = None) -> Iterator[OddBucket]:
    """The server, ended with the block."""
    with running(OddBucket(ways, probed)) as server:
        yield server


class Handler(Quiet):
    """One request."""

    server: OddBucket

    def _begin(self) -> tuple[str, dict[str, str], Ways]:
        address = urlsplit(self.path)
        key = unquote(address.path).removeprefix("/bucket").lstrip("/")
        self.sent = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, key, self.sent))
        ways = self.server.probed if ".airlock/" in key else self.server.ways
        return key, dict(parse_qsl(address.query, keep_blank_values=True)), ways

    def do_HEAD(self) -> None:
        key, query, ways = self._begin()
        if self._is_elsewhere(ways):
            return
        if ways.checksums == "refused" and "x-amz-checksum-mode" in self.sent:
            self._answer(400)
        elif key in self.server.objects:
            kept = self.server.objects[key]
            self._answer(200, kept.data, {**kept.headers, "ETag": kept.tag})
        elif not key:
            self._answer(200, self._listing(query))
        else:
            self._refuse(404, "NoSuchKey")

    do_GET = do_HEAD

    def do_PUT(self) -> None:
        key, query, ways = self._begin()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        part = query.get("partNumber")
        if self._is_elsewhere(ways):
            return
        if refusal := self._refusal(key, ways, is_begin=part is None):
            self._refuse(*refusal)
        elif part is not None:
            self.server.uploads[query["uploadId"]].parts[int(part)] = data
            self._answer(200, headers={"ETag": '"part"'})
        else:
            self._keep(key, ways, data, {**self._checksum(ways, data), **self._kept(ways)})

    def do_POST(self) -> None:
        key, query, ways = self._begin()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_elsewhere(ways):
            return
        if refusal := self._refusal(key, ways, is_begin="uploads" in query):
            self._refuse(*refusal)
        elif "uploads" in query:
            headers = self._kept(ways)
            name = f"{key}-{len(self.server.asked)}"
            self.server.uploads[name] = Upload(headers=headers)
            self._answer(200, f"<R><UploadId>{name}</UploadId></R>".encode(),
                         self._shown(ways, headers))
        elif ways.checksums == "refused" and b"ChecksumSHA256" in data:
            self._refuse(501, "NotImplemented")
        else:
            upload = self.server.uploads.pop(query["uploadId"])
            whole = b"".join(upload.parts[number] for number in sorted(upload.parts))
            checksum = {CHECKSUM: "of-parts-2"} if ways.checksums == "kept" else {}
            self._keep(key, ways, whole, {**checksum, **upload.headers}, b"<R/>")

    def do_DELETE(self) -> None:
        _, query, _ = self._begin()
        if "uploadId" not in query:
            self._refuse(403, "AccessDenied")  # as to a role that pushes
            return
        self.server.uploads.pop(query["uploadId"], None)
        self._answer(204)

    def _is_elsewhere(self, ways: Ways) -> bool:
        """Whether the request was for another region, and has been answered as AWS does it."""
        asked = self.sent.get("authorization", "////").split("/")[2]
        if ways.region in (None, asked):
            return False
        where = {"x-amz-bucket-region": str(ways.region)}
        if self.command == "HEAD":
            self._answer(400, headers=where)
        else:
            self._answer(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The "
                         f"authorization header is malformed; the region '{asked}' is wrong; "
                         f"expecting '{ways.region}'</Message><Region>{ways.region}</Region>"
                         "</Error>".encode(), where)
        return True

    def _refusal(self, key: str, ways: Ways, *, is_begin: bool) -> Refused | None:
        return ways.refuses or self._unkept(key, ways, is_begin=is_begin)

    def _unkept(self, key: str, ways: Ways, *, is_begin: bool) -> Refused | None:
        """Status and code where the server refuses. Parts say nothing of encryption."""
        if ways.checksums == "refused" and any("checksum" in name for name in self.sent):
            return 501, "NotImplemented"
        if "if-none-match" in self.sent and ways.conditional == "refused":
            return 501, "NotImplemented"
        if ("if-none-match" in self.sent and ways.conditional == "kept"
                and key in self.server.objects):
            return 412, "PreconditionFailed"
        if ways.encryption == "refused" and SSE in self.sent:
            return 400, "InvalidArgument"
        if ways.demands and self.sent.get(SSE) != ways.demands and is_begin:
            return 403, "AccessDenied"
        return None

    def _checksum(self, ways: Ways, data: bytes) -> dict[str, str]:
        if ways.checksums != "kept" or CHECKSUM not in self.sent:
            return {}
        return {CHECKSUM: base64.b64encode(hashlib.sha256(data).digest()).decode()}

    def _kept(self, ways: Ways) -> dict[str, str]:
        """The headers that an object keeps of those that its put, or its upload, began with."""
        kept = {name: value for name, value in self.sent.items()
                if name.startswith("x-amz-meta-") and ways.metadata == "kept"}
        if SSE not in self.sent or ways.encryption == "dropped":
            return kept
        kept[SSE] = "AES256" if ways.encryption == "AES256" else self.sent[SSE]
        if kept[SSE] == "aws:kms":
            kept |= {SSE_KEY: ways.key} if ways.key else {}
            kept |= {f"{SSE}-bucket-key-enabled": "true"} if ways.bucket_key else {}
        return kept

    def _shown(self, ways: Ways, headers: Mapping[str, str]) -> dict[str, str]:
        """Those of an object's headers that the answer to its put has."""
        return {name: value for name, value in headers.items()
                if not (name.startswith(SSE) and ways.encryption == "silent")
                and not name.startswith("x-amz-meta-")}

    def _keep(self, key: str, ways: Ways, data: bytes, headers: Mapping[str, str],
              answer: bytes = b"") -> None:
        kept = Kept(data=data[:-1] + b"?" if ways.damages else data, headers=headers)
        self.server.objects[key] = kept
        self._answer(200, answer, {**self._shown(ways, headers), "ETag": kept.tag})

    def _listing(self, query: Mapping[str, str]) -> bytes:
        return "".join(["<R>", *(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(kept.data)}</Size>"
            f"<ETag>{escape(kept.tag)}</ETag></Contents>"
            for key, kept in sorted(self.server.objects.items())
            if key.startswith(query.get("prefix", ""))), "</R>"]).encode()

    def _refuse(self, status: int, code: str, message: str = "") -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
                             "</Error>".encode())

    def _answer(self, status: int, data: bytes = b"",
                headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
