"""What AWS's answers and botocore's errors mean, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.core.errors import AirlockError, AwsError

LOG_IN = "log in again (`aws sso login`), or renew AWS_SESSION_TOKEN"
CAUSES = {
    "ExpiredToken": ("the credentials for AWS have expired", LOG_IN),
    "ExpiredTokenException": ("the credentials for AWS have expired", LOG_IN),
    "RequestExpired": ("the credentials for AWS have expired", LOG_IN),
    "InvalidClientTokenId": ("AWS doesn't know these credentials", LOG_IN),
    "UnrecognizedClientException": ("AWS doesn't know these credentials", LOG_IN),
    "SignatureDoesNotMatch": ("the secret key for AWS is wrong, or this machine's clock",
                              "correct AWS_SECRET_ACCESS_KEY; compare the clock"),
    "InvalidAccessKeyId": ("AWS doesn't know these credentials", LOG_IN),
    "InvalidToken": ("AWS doesn't know these credentials", LOG_IN),
    "MalformedPolicy": ("AWS doesn't take the policy",
                        "see that the roles that it names are there (aws.roles)"),
    "OperationAborted": ("something else changes the same at this moment",
                         "wait a minute, then run this again"),
    "SlowDown": ("AWS asks for a slower pace", "wait some minutes, then run this again"),
    "LimitExceeded": ("a quota of the account is used up", "ask AWS for a higher quota"),
    "LimitExceededException": ("a quota of the account is used up", "ask AWS for a higher quota"),
    "Throttling": ("AWS asks for a slower pace", "wait some minutes, then run this again"),
    "ThrottlingException": ("AWS asks for a slower pace",
                            "wait some minutes, then run this again"),
    "RequestLimitExceeded": ("AWS asks for a slower pace",
                             "wait some minutes, then run this again"),
    "TooManyRequestsException": ("AWS asks for a slower pace",
                                 "wait some minutes, then run this again"),
}
"""What an error code of AWS means, and what to do."""
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation",
          "UnauthorizedException"}


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raise AwsError in place of botocore's errors; `where` names the service and action."""
    from botocore import exceptions
    try:
        yield
    except exceptions.ClientError as error:
        raise explain(error.response.get("Error", {}).get("Code", ""), str(error), where) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError,
            exceptions.ProfileNotFound, exceptions.TokenRetrievalError) as error:
        raise AwsError(f"there are no credentials for AWS ({error})", where=where,
                       todo="set AWS_PROFILE, log in (`aws sso login`), or give this machine a "
                            "role") from error
    except exceptions.BotoCoreError as error:
        raise AwsError(f"AWS gave no answer ({type(error).__name__}: {error})", where=where,
                       todo="check the network, aws.region and aws.endpoint, then run this again"
                       ) from error


def explain(code: str, message: str, where: str) -> AirlockError:
    """Return the error for an error code of AWS, with AWS's own words."""
    if code in DENIED:
        return AwsError(f"AWS denied it: {message}", where=where,
                        todo="have that action allowed for the role that you work as")
    if "LimitExceeded" in code and code not in CAUSES:  # EC2 has one for each kind of resource
        code = "LimitExceeded"
    what, todo = CAUSES.get(code, ("AWS refused", "look the code up in the API reference"))
    return AwsError(f"{what}: {message}", where=where, todo=todo)
