"""From parsed flags to a specification, and on to the account that it is for."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from orchard_deploy import context
from orchard_deploy.capacity import check_workers
from orchard_deploy.runs.record import record_file
from orchard_deploy.runs.spark import spark_properties
from orchard_deploy.site import Site
from orchard_deploy.spec import Spec, load_spec
from orchard_deploy.targets import SERVERLESS, TARGETS, spec_for

if TYPE_CHECKING:
    from orchard_deploy.aws import Aws

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Parents = list[argparse.ArgumentParser]
Flags = Mapping[str, str | dict[str, Any]]
TARGET: Flags = {
    "--target": {
        "choices": TARGETS,
        "default": SERVERLESS.name,
        "help": "EMR Serverless or EMR on EKS (default %(default)s)",
    }
}
# The flags of every command about AWS; those of one service lack the target.
ACCOUNT: Flags = {
    "--profile": {"metavar": "NAME", "help": "profile of ~/.aws (default: AWS_PROFILE, else boto3's chain)"},
    "--region": {"metavar": "NAME", "help": "AWS region (default: the specification's, AWS_REGION, the profile's)"},
}
AWS: Flags = {**ACCOUNT, **TARGET}


def add_command(
    commands: Commands,
    parents: Parents,
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str,
    flags: Flags,
    **defaults: object,
) -> argparse.ArgumentParser:
    """Give the command line a command that calls `run`; a flag with nothing but a help text is a switch."""
    parser = commands.add_parser(name, parents=parents, help=about, description=about)
    for flag, form in flags.items():
        parser.add_argument(flag, **(form if isinstance(form, dict) else {"action": "store_true", "help": form}))
    parser.set_defaults(command=run, **defaults)
    return parser


def number(what: str, least: float) -> Callable[[str], float]:
    """What parses a flag's value that is at least so large."""

    def parse(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and value >= least):
            raise argparse.ArgumentTypeError(f"{text} is no {what}")
        return value

    return parse


def target_spec(arguments: argparse.Namespace) -> Spec:
    """The specification for `--target`, in `--region` if one is given."""
    spec = spec_for(load_spec(arguments.spec), TARGETS[arguments.target])
    return replace(spec, region=getattr(arguments, "region", None) or spec.region)


def connect(arguments: argparse.Namespace) -> context.Context:
    """Check the specification, then find out whose account it is; from then on `arguments.mask` hides its number.

    Raises:
        SpecError: the specification, before any call to AWS. AwsError: no credentials, or no answer.
    """
    spec, target = target_spec(arguments), TARGETS[arguments.target]
    check_workers(spec)
    spark_properties(spec, target)
    aws = open_aws(region=spec.region, profile=arguments.profile)
    site = Site(spec, aws.account)
    arguments.mask = site.account.mask
    record = record_file(site, arguments.spec)
    return context.Context(aws=aws, site=site, target=target, record=record, tree=arguments.tree, pace=context.PACE)


def open_aws(*, region: str | None, profile: str | None) -> Aws:
    """The client of every service; boto3 is imported only now."""
    from orchard_deploy.aws import Aws

    return Aws(region=region, profile=profile)
