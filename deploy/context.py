"""What every command about AWS works with.

The specification in the account, AWS itself, the record, and how to speak and wait.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.record import RecordFile, record_file
from deploy.site import Site
from deploy.spark import spark_properties
from deploy.spec import Spec, load_spec
from deploy.tag import image_tag, ingredients
from deploy.targets import TARGETS, Target, spec_for
from deploy.terminal import say
from deploy.waiting import Pace
from deploy.workers import check_workers

if TYPE_CHECKING:
    from deploy.aws.session import Aws

# How long every command waits between two questions.
PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class Context:
    """A specification in an account.

    Attributes:
        tree: with the Dockerfile; its content names the image.
        now: seconds since 1970.
    """

    aws: Aws
    site: Site
    target: Target
    record: RecordFile
    tree: Path
    pace: Pace = field(default_factory=Pace)
    tell: Callable[[str], None] = say
    now: Callable[[], float] = time.time

    @property
    def tag(self) -> str:
        """The tag of the source tree's image."""
        return image_tag(self.site.spec.release_label, ingredients(self.tree, self.site.spec))

    def say(self, line: str) -> None:
        """One line for a person, without the account's number: it may end up in a log."""
        self.tell(self.site.account.mask(line))


def aws_arguments(*, target: bool = True) -> argparse.ArgumentParser:
    """The flags that every command about AWS has."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--profile", metavar="NAME", help="profile of ~/.aws (default: AWS_PROFILE, else boto3's own chain)"
    )
    parser.add_argument(
        "--region", metavar="NAME", help="AWS region (default: the specification's, AWS_REGION, the profile's)"
    )
    if target:
        add_target(parser)
    return parser


def add_target(parser: argparse.ArgumentParser) -> None:
    """Give a command `--target`."""
    parser.add_argument(
        "--target", choices=TARGETS, default="serverless", help="EMR Serverless or EMR on EKS (default %(default)s)"
    )


def target_spec(arguments: argparse.Namespace) -> Spec:
    """The specification for the asked target."""
    spec = spec_for(load_spec(arguments.spec), TARGETS[arguments.target])
    return replace(spec, region=arguments.region or spec.region) if getattr(arguments, "region", None) else spec


def connect(arguments: argparse.Namespace) -> Context:
    """Check the specification, then find out whose account it is.

    Nothing is asked of AWS for a specification that cannot work.

    From then on `arguments.mask` takes that account's number out of what is printed.

    Raises:
        SpecError: the specification. AwsError: no credentials, or no answer.
    """
    spec, target = target_spec(arguments), TARGETS[arguments.target]
    check_workers(spec)
    spark_properties(spec, target)
    aws = open_aws(region=spec.region, profile=arguments.profile)
    site = Site(spec, aws.account)
    arguments.mask = site.account.mask
    record = record_file(site, arguments.spec)
    return Context(aws=aws, site=site, target=target, record=record, tree=arguments.tree, pace=PACE)


def open_aws(*, region: str | None, profile: str | None) -> Aws:
    """The door to AWS."""
    from deploy.aws.session import Aws

    return Aws(region=region, profile=profile)
