"""The command line, as commands.toml describes it; from parsed flags to a specification and its account; reports."""

import argparse
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.cost.money import PRICES_FILE
from orchard_deploy.runs.spark import spark_properties
from orchard_deploy.site import Site
from orchard_deploy.spec import Spec, check_workers, load_spec
from orchard_deploy.targets import TARGETS, spec_for

# Carries a command out; its exit code is 0 unless it says another.
Handler = Callable[[argparse.Namespace], int | None]


def _number(what: str, least: float, kind: type[int | float] = float) -> Callable[[str], float]:
    """What parses a flag's value that is at least so large."""

    def parse(text: str) -> float:
        with suppress(ValueError):
            if least <= (value := kind(text)) < math.inf:
                return value
        raise argparse.ArgumentTypeError(f"{text} is no {what}")

    return parse


TYPES: Mapping[str, Callable[[str], Any]] = {
    "path": Path,
    "int": int,
    "slots": _number("number of task slots, 1 or more", 1, int),
    "cores": _number("number of cores, 0.01 or more", 0.01),  # Docker's own least
    "photos": _number("number of photos", 0, int),
    "money": _number("amount of money", 0),
    "minutes": _number("number of minutes", 1e-9),
}


def make_parser(handlers: Mapping[str, Handler], about: str, version: str) -> argparse.ArgumentParser:
    """The parser of all commands, each with what carries it out as `command`."""
    table = tomllib.loads(Path(__file__).with_name("commands.toml").read_text(encoding="utf-8"))
    shared = table.pop("shared")
    parser = argparse.ArgumentParser(prog="orchard-deploy", description=about)
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, each in table.items():
        told = {"help": each["help"], "description": each["help"], "epilog": each.get("epilog")}
        command = commands.add_parser(name, **told)
        # What the commands without these flags take.
        command.set_defaults(command=handlers[name], target="serverless", region=None, prices=PRICES_FILE)
        for type_name, parse in TYPES.items():
            command.register("type", type_name, parse)
        own = {flag: shared[flag] for flag in ("--spec", "--tree", *each.get("shared", ()))}
        for flag, form in {**own, **each["flags"]}.items():
            command.add_argument(flag, **({"action": "store_true", "help": form} if isinstance(form, str) else form))
    return parser


def target_spec(arguments: argparse.Namespace) -> Spec:
    """The specification for `--target`, in `--region` if one is given."""
    spec = spec_for(load_spec(arguments.spec), TARGETS[arguments.target])
    return replace(spec, region=arguments.region or spec.region)


def connect(arguments: argparse.Namespace) -> Context:
    """Check the specification, then ask AWS whose account it is; from then on `arguments.mask` hides its number."""
    spec, target = target_spec(arguments), TARGETS[arguments.target]
    check_workers(spec)
    spark_properties(spec, target)  # raises where the specification's own cannot work
    aws = Aws(region=spec.region, profile=arguments.profile)
    site = Site(spec, aws.account)
    arguments.mask = site.account.mask
    return Context(aws=aws, site=site, target=target, tree=arguments.tree)


def report(arguments: argparse.Namespace, facts: Mapping[str, Any], *lines: str) -> None:
    """Print facts with --json, otherwise what they are for a person."""
    print(*([json.dumps(facts, indent=1)] if arguments.json else lines), sep="\n")
