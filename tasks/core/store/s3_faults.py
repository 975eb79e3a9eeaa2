"""What goes wrong with a bucket, in words: what happened, where, what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.errors import AirlockError, IntegrityError, StoreError

WRONG_KEY = ("the credentials are wrong", "correct AWS_PROFILE or the access key")
CAUSES = {
    "NoSuchBucket": ("the bucket does not exist", "create it, or correct store.url"),
    "InvalidAccessKeyId": WRONG_KEY,
    "XAdminUserNotFound": WRONG_KEY,
    "SignatureDoesNotMatch": ("the credentials are wrong", "correct the secret access key"),
    "ExpiredToken": ("the credentials have expired", "log in again"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "AccessDenied": ("access is denied", "allow s3:GetObject, s3:PutObject and s3:ListBucket "
                     "there; a bucket policy may also demand a VPC endpoint (aws:SourceVpce)"),
    "PermanentRedirect": ("the bucket lies in another region", "correct store.region"),
    "AuthorizationHeaderMalformed": ("the bucket lies in another region", "correct store.region"),
    "NoSuchKey": ("the store lacks a file", "push the release again"),
}
"""Error codes of S3 servers, with what they mean and what to do."""

REFUSED_BYTES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                 "XAmzContentChecksumMismatch"}
"""What S3 servers answer where the bytes do not have the checksum that was sent."""

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
    def is_passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (429, 500, 502, 503, 504) or self.code in (
            "RequestTimeout", "SlowDown", "Throttling")


def explain(refusal: Refusal, where: str) -> AirlockError:
    """The error to raise for an answer."""
    code = refusal.code or CODES_BY_STATUS.get(refusal.status, "")
    if code in REFUSED_BYTES:
        return IntegrityError(f"the store refused a file whose bytes are not what its checksum says"
                              f" ({code})", where=where,
                              todo="remove the local file, so that the step that makes it runs")
    if code == "PreconditionFailed":
        return StoreError("the store holds this file already, and it never changes", where=where,
                          todo="somebody pushed it at the same time; run this again")
    if code in CAUSES:
        what, todo = CAUSES[code]
        if refusal.region and todo == "correct store.region":
            todo = f"set store.region to {refusal.region}"
        return StoreError(f"{what} ({code})", where=where, todo=todo)
    if 300 <= refusal.status < 400:
        return StoreError(f"the store redirects ({refusal.status} {code}), which is not followed",
                          where=where, todo="correct store.endpoint and store.region")
    return StoreError(f"the store refused: {code or refusal.status} {refusal.message}".rstrip(),
                      where=where, todo="look up the code in the S3 documentation")


def explain_connection(error: Exception, where: str) -> StoreError:
    """The error to raise where urllib3 got no answer."""
    if is_untrusted(error):
        return StoreError("the store's certificate is not trusted", where=where,
                          todo="set AWS_CA_BUNDLE to the CA's certificate (PEM)")
    return StoreError(f"no connection to the store ({type(error).__name__})", where=where,
                      todo="check the network, store.endpoint and store.region, then try again")


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
