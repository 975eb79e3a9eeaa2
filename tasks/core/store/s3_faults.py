"""What goes wrong with a bucket, in words: what happened, where, what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.config.aws_settings import StoreAt
from tasks.core.errors import AirlockError, IntegrityError, StoreAwayError, StoreError
from tasks.core.net.request import says_full

WRONG_KEY = ("the credentials are wrong", "correct AWS_PROFILE or the access key")
CAUSES = {
    "NoSuchBucket": ("the bucket does not exist", "create it, or correct store.url"),
    "InvalidAccessKeyId": WRONG_KEY,
    "XAdminUserNotFound": WRONG_KEY,
    "SignatureDoesNotMatch": ("the credentials are wrong", "correct the secret access key"),
    "ExpiredToken": ("the credentials have expired", "log in again"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "KMS.NotFoundException": ("the KMS key isn't there", "correct store.kms_key: a key in the "
                              "bucket's region"),
    "KMS.DisabledException": ("the KMS key is disabled", "enable it, or correct store.kms_key"),
    "KMS.KMSInvalidStateException": ("the KMS key can't be used, as when its deletion is "
                                     "scheduled", "mend its state, or correct store.kms_key"),
    "NoSuchKey": ("the store lacks a file", "push the release again"),
}
"""Error codes of S3 servers, with what they mean and what to do."""

ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect",
             "IllegalLocationConstraintException"}
"""Error codes of a request for another region than the bucket's."""
REFUSED_BYTES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                 "XAmzContentChecksumMismatch"}
"""What S3 servers answer where the bytes do not have the checksum that was sent."""

MAKE_ROOM = ("free space there, or have the quota raised; what was sent stays, and the same "
             "command goes on from here")

MAX_MESSAGE = 300
"""Characters of a server's own words that are shown."""

CODES_BY_STATUS = {301: "PermanentRedirect", 403: "AccessDenied", 404: "NoSuchKey",
                   412: "PreconditionFailed"}
"""What an answer without a body means: that to HEAD has none, nor have those of some proxies."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer of S3 that is no success."""

    status: int
    code: str = ""
    message: str = ""
    region: str | None = None

    @property
    def is_full(self) -> bool:
        """Whether the server has no room, or lets this user have no more."""
        return says_full(self.status, f"{self.code} {self.message}")

    def is_elsewhere(self, region: str) -> bool:
        """Whether the bucket lies in another region than the request was signed for."""
        return self.code_or_status in ELSEWHERE or (
            self.status in (301, 307, 400) and self.region not in (None, "", region))

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return not self.is_full and (self.status in (429, 500, 502, 503, 504) or self.code in (
            "ConditionalRequestConflict", "RequestTimeout", "SlowDown", "Throttling"))

    @property
    def is_gateways(self) -> bool:
        """Whether it is the word of what stands before a store that can't be reached."""
        return self.status in (502, 503, 504) and not self.code

    @property
    def is_unsupported(self) -> bool:
        """Whether it may mean that the server doesn't know what was asked for."""
        return self.status in (400, 405, 501) and not self.is_passing

    @property
    def code_or_status(self) -> str:
        """The error's code, also where the answer had no body; the status where it has no code."""
        return self.code or CODES_BY_STATUS.get(self.status, str(self.status))

    @property
    def is_denied(self) -> bool:
        return self.code_or_status == "AccessDenied"

    @property
    def summary(self) -> str:
        """The error in the server's words, for a terminal."""
        return f"{self.code_or_status} {self.message[:MAX_MESSAGE]}".rstrip()


def explain(refusal: Refusal, where: str, at: StoreAt, region: str) -> AirlockError:
    """Return the error to raise for an answer.

    `at` is the store, as the site has it, and `region` the one that the request was signed for.
    """
    code = refusal.code_or_status
    if refusal.is_full or refusal.is_elsewhere(region):
        return _of_place(refusal, where, region)
    if code in REFUSED_BYTES:
        return IntegrityError(f"the store refused a file whose bytes are not what its checksum says"
                              f" ({code})", where=where,
                              todo="remove the local file, so that the step that makes it runs")
    if code == "PreconditionFailed":
        return StoreError("the store holds this file already, and it never changes", where=where,
                          todo="somebody pushed it at the same time; run this again")
    if refusal.is_denied:
        return StoreError(f"access is denied ({refusal.summary})", where=where,
                          todo=_what_to_allow(refusal, at))
    if code in CAUSES:
        what, todo = CAUSES[code]
        return StoreError(f"{what} ({code})", where=where, todo=todo)
    return _otherwise(refusal, where)


def _otherwise(refusal: Refusal, where: str) -> StoreError:
    """The error for an answer that means nothing in particular."""
    code = refusal.code_or_status
    if 300 <= refusal.status < 400:
        return StoreError(f"the store redirects ({refusal.status} {refusal.code}), which is not "
                          "followed", where=where, todo="correct store.endpoint and store.region")
    kind = StoreAwayError if refusal.is_gateways else StoreError
    return kind(f"the store refused: {refusal.summary}", where=where,
                      todo="if the store can't do that for a checksum, set store.checksums to "
                           "metadata; if for If-None-Match, store.conditional to none"
                      if code in ("NotImplemented", "501") else
                      "look up the code in the S3 documentation")


def _of_place(refusal: Refusal, where: str, region: str) -> StoreError:
    """The error of a bucket without room, or in another region, which AWS names in a header."""
    if refusal.is_full:
        return StoreError(f"the store is full, or its quota is used up ({refusal.summary})",
                          where=where, todo=MAKE_ROOM)
    lies = refusal.region or "another region"
    return StoreError(f"the bucket lies in {lies}, and was asked for in {region} "
                      f"({refusal.code_or_status})", where=where,
                      todo=f"set store.region (AIRLOCK_STORE_REGION) to {refusal.region}"
                      if refusal.region else "correct store.region (AIRLOCK_STORE_REGION)")


def _what_to_allow(refusal: Refusal, at: StoreAt) -> str:
    """What to do about a denied access: S3 names an action of KMS only where that was denied."""
    if "kms:" in refusal.message:
        return ("allow kms:GenerateDataKey and kms:Decrypt to the pushing role, kms:Decrypt to "
                "the one that fetches: in the policy of the store's KMS key")
    encryption = (f"another encryption than {at.encryption} (store.encryption, store.kms_key)"
                  if at.encrypts else "encryption (set store.encryption, store.kms_key)")
    return ("allow s3:GetObject, s3:PutObject and s3:ListBucket there; a bucket policy may also "
            f"demand a VPC endpoint (aws:SourceVpce), or for what is put {encryption}")


def explain_connection(error: Exception, where: str, trusted: str) -> StoreError:
    """Return the error to raise where urllib3 got no answer; `trusted` says which CAs are."""
    if is_untrusted(error):
        return StoreError("the store's certificate is not trusted by the CAs that are taken: "
                          f"{trusted}", where=where,
                          todo="set AWS_CA_BUNDLE to the CA's certificate (PEM)")
    return StoreAwayError(f"no connection to the store ({type(error).__name__})", where=where,
                          todo="check the network, store.endpoint and store.region, then try again")


def explain_break(error: Exception, where: str) -> StoreError:
    """Return the error to raise where an answer ended in the middle of a file."""
    return StoreError(f"the store broke off in the middle of a file ({type(error).__name__})",
                      where=where, todo="run this again; if it stays with this file, it can't be "
                                        "read there: look at the store's log and disks")


def explain_excess(error: AirlockError, where: str) -> StoreError:
    """The error to raise where an answer was too long or too slow."""
    return StoreError(error.what, where=where,
                      todo="look at the network, and at who answers at store.endpoint")


def is_untrusted(error: Exception) -> bool:
    """Whether TLS failed, which it will do again."""
    from urllib3.exceptions import SSLError
    return isinstance(error, SSLError)


def explain_settings(error: Exception, where: str) -> StoreError:
    """The error to raise where botocore can't say whom to ask, or as whom."""
    from botocore import exceptions
    if isinstance(error, exceptions.NoRegionError):
        return StoreError("the store's region is not known", where=where,
                          todo="set store.region, or AIRLOCK_STORE_REGION")
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError,
                          exceptions.ProfileNotFound)):
        return no_credentials(where)
    return StoreError(f"the credentials for the store can't be had ({type(error).__name__}: "
                      f"{error})", where=where, todo="log in again, or look at ~/.aws/config")


def no_credentials(where: str) -> StoreError:
    """There is nothing to sign requests with."""
    return StoreError("there are no credentials for the store", where=where,
                      todo="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                           "or give this machine a role")
