"""Calls to AWS: credentials from boto3's own chain, retries where AWS says so.

Every failure becomes one line with what to do next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from orchard import __version__

from deploy.errors import AwsError, CredentialsError, DeniedError, InvalidError, SpecError, UnavailableError
from deploy.hints import hint
from deploy.site import Account

# `standard` retries throttling, 5xx and lost connections, with growing pauses; AWS_MAX_ATTEMPTS wins over this.
_ATTEMPTS = 6
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_REJECTED = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
_THROTTLED = {
    "BandwidthLimitExceeded",
    "EKSRequestThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_INVALID = {
    "ValidationException",
    "ValidationError",
    "InvalidParameterException",
    "MalformedPolicyDocument",
    "BadRequestException",
}
_NO_ANSWER = (boto.HTTPClientError, boto.ConnectionError, boto.ProxyConnectionError)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.SSOError,
    boto.TokenRetrievalError,
)


class Aws:
    """AWS as one profile sees it from one region.

    Args:
        region: of the specification; by default AWS_REGION, AWS_DEFAULT_REGION or the profile's.
        profile: of ~/.aws; by default AWS_PROFILE, else boto3's whole chain.

    Raises:
        SpecError: no region is known. CredentialsError: no such profile.
    """

    def __init__(
        self, *, region: str | None = None, profile: str | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        with explained("look for AWS settings"):
            self._session = boto3.session.Session(profile_name=profile)
        found = region or environ.get("AWS_REGION") or self._session.region_name
        if not found:
            raise SpecError("AWS region: none is set: write `region` into the specification, or set AWS_REGION")
        self.region: str = found
        retries: dict[str, Any] = {"mode": "standard"}
        if "AWS_MAX_ATTEMPTS" not in environ:
            retries["total_max_attempts"] = _ATTEMPTS
        self._config = Config(
            region_name=found,
            retries=retries,
            connect_timeout=10,
            read_timeout=60,
            user_agent_extra=f"orchard/{__version__}",
        )
        self._clients: dict[str, Any] = {}

    @cached_property
    def account(self) -> Account:
        """Whose account it is."""
        found = self.check_credentials()
        return Account(id=found["Account"], region=self.region, partition=found["Arn"].split(":")[1])

    def check_credentials(self) -> dict[str, Any]:
        """Whose they are, now; `CredentialsError` if they have expired."""
        return self.call("sts", "get_caller_identity", {})

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One call, by the names that boto3 has for service and operation.

        Raises:
            AwsError: or a leaf of it; `code` is AWS's own.
        """
        with explained(f"{service} {operation}"):
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
            return answer

    def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Iterator[Any]:
        """Every item under `key`, over all pages of an answer."""
        with explained(f"{service} {operation}"):
            for page in self._client(service).get_paginator(operation).paginate(**parameters):
                yield from page.get(key, ())

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            try:
                self._clients[service] = self._session.client(service, config=self._config)
            except ValueError as exc:
                raise SpecError(
                    f"AWS settings: {exc}: check AWS_ENDPOINT_URL, AWS_MAX_ATTEMPTS and the profile"
                ) from exc
        return self._clients[service]


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what boto3 raises into one line that says where, what, and what to do next."""
    try:
        yield
    except boto.ClientError as exc:
        raise _from_answer(doing, exc) from exc
    except boto.ParamValidationError as exc:
        raise InvalidError(f"AWS, {doing}: {' '.join(str(exc).split())}") from exc
    except boto.ProfileNotFound as exc:
        raise CredentialsError(f"AWS credentials: {exc}: `aws configure list-profiles` names those there are") from exc
    except _NO_CREDENTIALS as exc:
        raise CredentialsError(
            f"AWS credentials: {exc}: log in (aws sso login), or set AWS_PROFILE or keys as boto3 reads them"
        ) from exc
    except boto.NoRegionError as exc:
        raise SpecError("AWS region: none is set: write `region` into the specification, or set AWS_REGION") from exc
    except _NO_ANSWER as exc:
        raise UnavailableError(
            f"AWS, {doing}: no answer ({_first_line(exc)}): check network, proxy and region, then call again"
        ) from exc
    except boto.BotoCoreError as exc:
        raise AwsError(f"AWS, {doing}: {_first_line(exc)}") from exc


def _from_answer(doing: str, exc: boto.ClientError) -> AwsError:
    answer, status = exc.response.get("Error", {}), exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, text = str(answer.get("Code", "")), _first_line(answer.get("Message") or exc)
    kind: type[AwsError]
    if code in _EXPIRED:
        kind, line = CredentialsError, "the credentials have expired: log in again (aws sso login), or set fresh keys"
    elif code in _REJECTED:
        kind, line = CredentialsError, f"{text} ({code}): the keys are not accepted: check AWS_PROFILE and the keys"
    elif code in _DENIED:
        kind, line = DeniedError, f"{text}: not allowed: `orchard-deploy iam deployer` prints the policy that is needed"
    elif code in _THROTTLED:
        kind, line = (
            UnavailableError,
            f"{text} ({code}): too many calls for AWS, tried again and given up: call again in a minute",
        )
    elif status >= 500:
        kind, line = (
            UnavailableError,
            f"{text} ({code}): a fault on AWS's side, tried again and given up: call again later",
        )
    else:
        kind, line = (InvalidError if code in _INVALID else AwsError), f"{text} ({code})"
    if advice := hint(text):
        line = f"{line}: {advice}"
    error = kind(f"AWS, {doing}: {line}")
    error.code = code
    return error


def _first_line(message: object) -> str:
    lines = str(message).strip().splitlines()
    return lines[0].rstrip(".: ") if lines else "no message"
