"""Calls to AWS: credentials from boto3's own chain, its retries, and each failure as one line with what to do next."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from orchard import __version__

from orchard_deploy.errors import (
    AwsError,
    CredentialsError,
    DeniedError,
    DeployError,
    InvalidError,
    SpecError,
    UnavailableError,
)
from orchard_deploy.site import Account

# `standard` retries throttling, 5xx and lost connections, with growing pauses; AWS_MAX_ATTEMPTS wins over this.
_ATTEMPTS = 6
# Lines for a person: what, and what to do next.
_FRESH = "the credentials have expired: log in again (aws sso login), or set fresh keys"
_KEYS = "{text} ({code}): the keys are not accepted: check AWS_PROFILE and the keys"
_POLICY = "{text}: not allowed: docs/aws.md has the policy that is needed"
_LATER = "{text} ({code}): too many calls for AWS, tried again and given up: call again in a minute"
_FAULT = "{text} ({code}): a fault on AWS's side, tried again and given up: call again later"
_NO_REGION = "AWS region: none is set: write `region` into the specification, or set AWS_REGION"
_PROFILES = "AWS credentials: {error}: `aws configure list-profiles` names those there are"
_LOG_IN = "AWS credentials: {error}: log in (aws sso login), or set AWS_PROFILE or keys as boto3 reads them"
_NETWORK = "AWS, {doing}: no answer ({line}): check network, proxy and region, then call again"
_PROXY = "AWS, {doing}: an answer that is not AWS's: check proxy and AWS_ENDPOINT_URL, then call again"

# AWS's codes of an answer.
_EXPIRED = "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired"
_REJECTED = """AuthFailure IncompleteSignature InvalidAccessKeyId InvalidClientTokenId MissingAuthenticationToken
    SignatureDoesNotMatch UnrecognizedClientException"""
_DENIED = "AccessDenied AccessDeniedException UnauthorizedOperation 403 Forbidden"
_THROTTLED = """BandwidthLimitExceeded EKSRequestThrottledException PriorRequestNotComplete RequestLimitExceeded
    RequestThrottled RequestThrottledException SlowDown ThrottledException Throttling ThrottlingException
    TooManyRequestsException"""
_INVALID = "ValidationException ValidationError InvalidParameterException MalformedPolicyDocument BadRequestException"
_ANSWERED: tuple[tuple[str, type[AwsError], str], ...] = (
    (_EXPIRED, CredentialsError, _FRESH),
    (_REJECTED, CredentialsError, _KEYS),
    (_DENIED, DeniedError, _POLICY),
    (_THROTTLED, UnavailableError, _LATER),
    (_INVALID, InvalidError, "{text} ({code})"),
)
# What boto3 raises without an answer of AWS: the first that fits.
_NO_KEYS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)
_RAISED: tuple[tuple[tuple[type[Exception], ...], type[DeployError], str], ...] = (
    ((boto.ParamValidationError,), InvalidError, "AWS, {doing}: {error}"),
    ((boto.ProfileNotFound,), CredentialsError, _PROFILES),
    ((*_NO_KEYS, boto.SSOError, boto.TokenRetrievalError), CredentialsError, _LOG_IN),
    ((boto.NoRegionError,), SpecError, _NO_REGION),
    ((boto.HTTPClientError, boto.ConnectionError, boto.ProxyConnectionError), UnavailableError, _NETWORK),
    ((ResponseParserError,), UnavailableError, _PROXY),
    ((boto.BotoCoreError,), AwsError, "AWS, {doing}: {line}"),
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
            raise SpecError(_NO_REGION)
        self.region: str = found
        attempts = {} if "AWS_MAX_ATTEMPTS" in environ else {"total_max_attempts": _ATTEMPTS}
        self._config = Config(
            region_name=found,
            retries={"mode": "standard", **attempts},
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
        """Whose the credentials are; `CredentialsError` if they have expired."""
        return self.call("sts", "get_caller_identity", {})

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One call, by the names that boto3 has for service and operation.

        Raises:
            AwsError: or a leaf of it; `code` is AWS's own.
        """
        with explained(f"{service} {operation}"):
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
            return answer

    def find(self, service: str, operation: str, parameters: Mapping[str, Any], *missing: str) -> dict[str, Any] | None:
        """The same; None if AWS answers with one of the codes `missing`."""
        try:
            return self.call(service, operation, parameters)
        except AwsError as error:
            if error.code in missing:
                return None
            raise

    def pages(self, service: str, operation: str, parameters: Mapping[str, Any], key: str) -> Iterator[Any]:
        """Every item under `key`, over all pages of an answer."""
        with explained(f"{service} {operation}"):
            for page in self._client(service).get_paginator(operation).paginate(**parameters):
                yield from page.get(key, ())

    def read(self, body: Any, doing: str) -> bytes:
        """What comes after an answer, an object of S3."""
        with explained(doing):
            return bytes(body.read())

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
    """Turn what boto3 raises into one line that tells where, what, and what to do next."""
    try:
        yield
    except boto.ClientError as exc:
        raise _from_answer(doing, exc) from exc
    except (boto.BotoCoreError, ResponseParserError) as exc:
        kind, line = next((kind, line) for raised, kind, line in _RAISED if isinstance(exc, raised))
        text = " ".join(str(exc).split())
        raise kind(line.format(doing=doing, error=text, line=_first_line(exc))) from exc


def _from_answer(doing: str, exc: boto.ClientError) -> AwsError:
    answer, status = exc.response.get("Error", {}), exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, text = str(answer.get("Code", "")), _first_line(answer.get("Message") or exc)
    default = (UnavailableError, _FAULT) if status >= 500 else (AwsError, "{text} ({code})")
    kind, line = next(((kind, line) for codes, kind, line in _ANSWERED if code in codes.split()), default)
    error = kind(f"AWS, {doing}: {line.format(text=text, code=code)}")
    error.code = code
    return error


def _first_line(message: object) -> str:
    return next(iter(str(message).strip().splitlines()), "no message").rstrip(".: ")
