"""Calls to AWS: credentials from boto3's own chain, its retries, and each failure as one line with what to do next."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError

from orchard_deploy import errors
from orchard_deploy.errors import AwsError, DeployError
from orchard_deploy.site import Account

FAILURES = tomllib.loads(Path(__file__).with_name("aws_failures.toml").read_text(encoding="utf-8"))["failure"]


class Aws:
    """AWS as one profile sees it from one region: those that are given, or what the environment and boto3 say."""

    def __init__(self, *, region: str | None = None, profile: str | None = None) -> None:
        with explained("look for AWS settings"):
            self._session = boto3.session.Session(profile_name=profile)
            self.region: str = region or os.environ.get("AWS_REGION") or self._session.region_name
            if not self.region:
                raise boto.NoRegionError
            # `standard` retries throttling, 5xx and lost connections, with growing pauses.
            retries = {"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS") or 6)}
            self._config = Config(region_name=self.region, retries=retries, connect_timeout=10)
        self._clients: dict[str, Any] = {}

    @cached_property
    def account(self) -> Account:
        """Whose account it is."""
        found = self.call("sts", "get_caller_identity", {})
        return Account(id=found["Account"], region=self.region, partition=found["Arn"].split(":")[1])

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One call, by the names that boto3 has for service and operation; `AwsError` if it fails."""
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

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service, config=self._config)
        return self._clients[service]


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what boto3 raises into an error of ours: one line that tells where, what, and what to do next."""
    try:
        yield
    except (boto.ClientError, boto.BotoCoreError, ResponseParserError, ValueError) as exc:
        raise _explanation(doing, exc) from exc


def _explanation(doing: str, exc: Exception) -> DeployError:
    response = exc.response if isinstance(exc, boto.ClientError) else {}
    answer, status = response.get("Error", {}), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, text = str(answer.get("Code", "")), " ".join(str(answer.get("Message") or exc).split()).rstrip(".: ")
    names = {code, "5xx" if status >= 500 else "", *(kind.__name__ for kind in type(exc).__mro__)}
    found = next(failure for failure in FAILURES if not names.isdisjoint(failure["names"]))
    error: DeployError = getattr(errors, found["kind"])(found["line"].format(doing=doing, code=code, text=text))
    if isinstance(error, AwsError):
        error.code = code
    return error
