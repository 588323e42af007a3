"""Where everything of a specification lies in one account and region: names, addresses, ARNs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from orchard_deploy.errors import SpecError
from orchard_deploy.job_commands import COMMANDS, Command, Options, further_places, shown
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
    """The text without the number of any account, for where it is not known which one there is.

    The hash in an image's tag, as in `emr-7.13.0-123456789012`, may be of digits only, and stays; the last number in
    `photos-1.0-123456789012-us-east-1` goes.
    """
    return re.sub(r"(?<!\w)((?<!\.\d-)(?<!\.\d\d-)|(?=\d{12}-))\d{12}(?!\w)", "{account}", text)


def offline_account(account: str | None, region: str) -> Account:
    """An account that AWS was not asked about, by default 000000000000.

    Raises:
        SpecError: the account's number is none.
    """
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise SpecError(f"--account {account}: an account's number has 12 digits")
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rpartition("-")[0].rpartition("-")[0], "aws")
    return Account(id=account or "0" * 12, region=region, partition=partition)


@dataclass(frozen=True)
class S3Place:
    """A bucket and a prefix in it, without a slash at its end."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def holds(self, other: S3Place) -> bool:
        """Whether another location is this one or lies below it."""
        return self.bucket == other.bucket and f"{other.prefix}/".startswith(f"{self.prefix}/".lstrip("/"))


@dataclass(frozen=True)
class Site:
    """A specification in an account."""

    spec: Spec
    account: Account

    @property
    def slug(self) -> str:
        """The specification's name in characters that stacks, roles, files and runs may have: the stack's name."""
        name = re.sub(r"[^A-Za-z0-9-]", "-", self.spec.name)
        return name if name[0].isalpha() else f"orchard-{name}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that is made."""
        return {**self.spec.tags, OWNER_TAG: self.spec.name}

    @property
    def registry(self) -> str:
        """The account's registry of images."""
        suffix = "amazonaws.com.cn" if self.account.partition == "aws-cn" else "amazonaws.com"
        return f"{self.account.id}.dkr.ecr.{self.account.region}.{suffix}"

    @property
    def role(self) -> str:
        """Name of the role that a run takes; `SpecError` if it is too long for one."""
        name = f"{self.slug}-job-{self.account.region}"
        if len(name) > 64:
            raise SpecError(
                f"name: {self.spec.name}: the role would be {name}, longer than the 64 characters a role's name has: "
                "shorten it"
            )
        return name

    @property
    def role_arn(self) -> str:
        """ARN of the role that a run takes."""
        return self.account.role_arn(self.role)

    @property
    def eks_role_arn(self) -> str:
        """ARN of the role that a run's pods take on EKS."""
        return self.account.role_arn(self.spec.eks.execution_role if self.spec.eks else "none")

    @cached_property
    def bucket(self) -> str | None:
        """The bucket for what has no other location."""
        return self._filled("bucket", self.spec.bucket) if self.spec.bucket else None

    @property
    def command(self) -> Command:
        """The command of the job."""
        return COMMANDS[self.spec.command]

    def job(self, *extra: str) -> Options:
        """The options of the job in this account, with `extra` arguments behind those of the specification.

        Raises:
            SpecError: an argument that the command does not know, or a value that it refuses.
        """
        words = [self._filled("arguments", word) if PLACEHOLDER.search(word) else word for word in self.spec.arguments]
        spec, source = replace(self.spec, arguments=tuple(words)), self.input if self.command.input else None
        return spec.job(*extra, input=str(source) if source else None, output=str(self.output))

    def further(self, job: Options) -> Iterator[tuple[str, S3Place]]:
        """Argument and location of all that the job reads beside its input; `SpecError` if one is not in S3."""
        for option, text in further_places(self.spec.command, job):
            yield shown(job, option), parse_place(shown(job, option), text)

    @cached_property
    def reads(self) -> dict[str, S3Place]:
        """What a run by the specification alone reads: key or argument, and location."""
        source = {"input": self.input} if self.command.input else {}
        # Not parsed where none can be named: whatever is wrong with the arguments, `down` can then delete.
        return {**source, **(dict(self.further(self.job())) if self.command.further else {})}

    @cached_property
    def input(self) -> S3Place:
        """Where the photos are, or the output of a run; `SpecError` if the specification names none."""
        if self.spec.input is None:
            raise SpecError(f"input: {self.spec.command} reads one: name it in the specification")
        return parse_place("input", self._filled("input", self.spec.input))

    @cached_property
    def output(self) -> S3Place:
        """Where tables, model and report go."""
        return parse_place("output", self._filled("output", self.spec.output))

    @cached_property
    def logs(self) -> S3Place | None:
        """Where logs go; None leaves them to the service."""
        return parse_place("logs", self._filled("logs", self.spec.logs)) if self.spec.logs else None

    @property
    def named_buckets(self) -> dict[str, str]:
        """The buckets that are not the specification's own, so not ours to make, with the keys that name them."""
        places = {**self.reads, "output": self.output, "logs": self.logs}
        named: dict[str, list[str]] = {}
        for key, place in places.items():
            if place and place.bucket != self.bucket:
                named.setdefault(place.bucket, []).append(key)
        return {bucket: ", ".join(keys) for bucket, keys in named.items()}

    def _filled(self, field: str, text: str) -> str:
        values = {"account": self.account.id, "region": self.account.region}
        if field != "bucket" and "{bucket}" in text:
            if not self.bucket:
                raise SpecError(f"{field}: {text}: the specification names no bucket: add `bucket`")
            values["bucket"] = self.bucket
        try:
            return text.format(**values)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as exc:
            raise SpecError(f"{field}: {text}: only {{bucket}}, {{account}} and {{region}} are filled in") from exc


def parse_place(field: str, text: str) -> S3Place:
    """The bucket and prefix in an s3:// URI; `SpecError` for any other, named by its `field`."""
    match = re.fullmatch(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", text)
    if not match:
        raise SpecError(f"{field}: {text}: AWS reads and writes s3:// URIs only: name one in the specification")
    return S3Place(match[1], (match[2] or "").strip("/"))
