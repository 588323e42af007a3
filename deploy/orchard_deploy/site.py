"""Where everything of a specification lies in one account and region: names, addresses, ARNs. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from orchard.options import Options

from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import COMMANDS, Command, further_places
from orchard_deploy.spec import Spec

# Marks everything that is made; its value is the specification's name.
OWNER_TAG = "orchard:application"
# What is filled in, also within arguments.
PLACEHOLDER = re.compile("{(bucket|account|region)}")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An AWS account seen from one region."""

    id: str
    region: str
    partition: str = "aws"

    def role_arn(self, name: str) -> str:
        """The ARN of a role."""
        return f"arn:{self.partition}:iam::{self.id}:role/{name}"

    def mask(self, text: str) -> str:
        """The text without the account's number: for what is kept or may end up in a log."""
        return text.replace(self.id, "{account}")


def mask_accounts(text: str) -> str:
    """The text without what may be the number of any account."""
    return re.sub(r"(?<!\w)\d{12}(?!\w)", "{account}", text)


def offline_account(account: str | None, region: str) -> Account:
    """An account that AWS was not asked about, by default 000000000000; `SpecError` if its number is none."""
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise SpecError(f"--account {account}: an account's number has 12 digits")
    partition = next((name for name in ("aws-cn", "aws-us-gov") if f"aws-{region}".startswith(f"{name}-")), "aws")
    return Account(id=account or "0" * 12, region=region, partition=partition)


@dataclass(frozen=True)
class S3Place:
    """A bucket and a prefix in it, without a slash at its end."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def holds(self, other: Self) -> bool:
        """Whether another location is this one or lies below it."""
        return self.bucket == other.bucket and f"{other.prefix}/".startswith(f"{self.prefix}/".lstrip("/"))


def parse_place(field: str, text: str) -> S3Place:
    """The bucket and prefix in an s3:// URI; `SpecError` for any other, named by its `field`."""
    match = re.fullmatch(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/((?! )[^{},]*(?<! )))?", text)
    if not match:
        how = "without commas or a blank at an end; {account}, {region} and, if `bucket` is set, {bucket} are filled in"
        raise SpecError(f"{field}: {text}: AWS reads and writes s3:// URIs only, {how}")
    return S3Place(match[1], (match[2] or "").strip("/"))


@dataclass(frozen=True)
class Site:
    """A specification in an account; `SpecError` where something that is asked for cannot work."""

    spec: Spec
    account: Account

    @property
    def command(self) -> Command:
        """The command of the job."""
        return COMMANDS[self.spec.command]

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Whether something with these tags was made for this specification."""
        return tags.get(OWNER_TAG) == self.spec.name

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that is made."""
        return {**self.spec.tags, OWNER_TAG: self.spec.name}

    @property
    def registry(self) -> str:
        """The account's registry of images."""
        suffix = "amazonaws.com.cn" if self.account.partition == "aws-cn" else "amazonaws.com"
        return f"{self.account.id}.dkr.ecr.{self.account.region}.{suffix}"

    def role_arn(self, *, on_eks: bool = False) -> str:
        """ARN of the role that a run takes, on EKS its pods; the longest names and regions make 64 characters."""
        own = f"{self.spec.name}-job-{self.account.region}"
        return self.account.role_arn(self.spec.eks.execution_role if on_eks and self.spec.eks else own)

    @cached_property
    def bucket(self) -> str | None:
        """The bucket for what has no other location."""
        return self._place("bucket", f"s3://{self.spec.bucket}").bucket if self.spec.bucket else None

    @cached_property
    def input(self) -> S3Place:
        """Where the photos are, or the output of a run; only `export` has none."""
        return self._place("input", self.spec.input or "")

    @cached_property
    def output(self) -> S3Place:
        """Where tables, model and report go."""
        return self._place("output", self.spec.output)

    @cached_property
    def logs(self) -> S3Place | None:
        """Where logs go; None leaves them to the service."""
        return self._place("logs", self.spec.logs) if self.spec.logs else None

    def job(self, *extra: str) -> Options:
        """The options of the job in this account, with `extra` arguments behind those of the specification."""
        spec = replace(self.spec, arguments=[self._filled(word) for word in self.spec.arguments])
        return spec.job(*extra, input=str(self.input) if self.command.input else None, output=str(self.output))

    def further(self, job: Options) -> Iterator[tuple[str, S3Place]]:
        """Argument and location of all that the job reads beside its input."""
        for option, text in further_places(self.spec.command, job):
            yield job.shown(option), parse_place(job.shown(option), text)

    @cached_property
    def reads(self) -> dict[str, S3Place]:
        """What a run by the specification alone reads: key or argument, and location."""
        source = {"input": self.input} if self.command.input else {}
        # Not parsed where none can be named: whatever is wrong with the arguments, `down` can then delete.
        return {**source, **(dict(self.further(self.job())) if self.command.further else {})}

    @property
    def named_buckets(self) -> dict[str, str]:
        """The buckets that are not the specification's own, so not ours to make, with the keys that name them."""
        places = {**self.reads, "output": self.output, "logs": self.logs}.items()
        named = [(place.bucket, key) for key, place in places if place and place.bucket != self.bucket]
        return {bucket: ", ".join(key for other, key in named if other == bucket) for bucket, _ in named}

    def _place(self, field: str, text: str) -> S3Place:
        return parse_place(field, self._filled(text))

    def _filled(self, text: str) -> str:
        text = text.replace("{bucket}", self.spec.bucket or "{bucket}")
        return text.replace("{account}", self.account.id).replace("{region}", self.account.region)
