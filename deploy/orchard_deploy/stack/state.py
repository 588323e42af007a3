"""The stack as the specification asks for it, and as it is: whose it is, what is in its way, what runs need of it."""

import re
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from pathlib import Path

from orchard_deploy import emr, s3
from orchard_deploy.aws import Aws
from orchard_deploy.context import Context
from orchard_deploy.errors import AwsError, DeniedError, RefusedError
from orchard_deploy.site import OWNER_TAG, S3Place, Site
from orchard_deploy.spec import capacity
from orchard_deploy.targets import SERVERLESS, Target

TEMPLATE = Path(__file__).parent.with_name("stack.yaml").read_text(encoding="utf-8")
SERVICE = "cloudformation"
# A stack that a change set was made for and nothing else: nothing of it exists yet, and it may have no tags.
IN_REVIEW = "REVIEW_IN_PROGRESS"
# Of the names of our change sets.
PREFIX = "orchard-deploy-"
# What is in the way of a stack in which state, and what to do.
_OBSTACLES = tomllib.loads(Path(__file__).with_name("obstacles.toml").read_text(encoding="utf-8"))["obstacle"]


def stack_parameters(site: Site, *, digest: str | None, makes_bucket: bool) -> dict[str, str]:
    """Every parameter of the template; `SpecError` for a location that is not in S3."""
    spec, most, root = site.spec, capacity(site.spec), f"arn:{site.account.partition}:s3:::"
    reads = [place for place in site.reads.values() if not site.output.holds(place)]
    listed = [*reads, site.output]
    prefixes = [path for place in listed for path in _below(place)]
    return {
        "RepositoryName": spec.repository,
        "ImageDigest": digest or "",
        "BucketName": site.bucket or "",
        "MakeBucket": "yes" if makes_bucket else "no",
        "ReadArns": _objects(root, reads or [site.output]),
        "WriteArns": _objects(root, [site.output]),
        "LogArns": _objects(root, [site.logs] if site.logs else []),
        "ListBuckets": _joined(f"{root}{place.bucket}" for place in listed),
        "ListPrefixes": "*" if "*" in prefixes else _joined(prefixes),
        "ApplicationName": spec.name,
        "ReleaseLabel": spec.release_label,
        "Architecture": spec.architecture,
        "MaximumCpu": f"{most.cpu}vCPU",
        "MaximumMemory": f"{most.memory}GB",
        "MaximumDisk": f"{most.disk}GB",
        "AutoStopMinutes": str(spec.auto_stop_minutes),
    }


def parameter_list(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    """The parameters as CloudFormation's calls and the AWS CLI take them."""
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


def _objects(root: str, places: Iterable[S3Place]) -> str:
    return _joined(f"{root}{place.bucket}/{path}" for place in places for path in _below(place))


def _below(place: S3Place) -> list[str]:
    """The prefix itself, too: of what may not be read S3 answers 403, not 404."""
    return [place.prefix, f"{place.prefix}/*"] if place.prefix else ["*"]


def _joined(values: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(values))


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack as CloudFormation describes it; `drifted` if its last look for changes made by hand found some."""

    name: str
    id: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    drifted: bool = False

    @property
    def passing(self) -> bool:
        """Whether CloudFormation is at work on it."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def made_bucket(self) -> str | None:
        """The bucket that it made, if it did."""
        return self.parameters.get("BucketName") if self.parameters.get("MakeBucket") == "yes" else None


def find_stack(aws: Aws, site: Site) -> Stack | None:
    """The specification's stack, if there is one; `RefusedError` if the one of its name is somebody else's."""
    name = site.spec.name
    try:
        found = aws.call(SERVICE, "describe_stacks", {"StackName": name})["Stacks"][0]
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    tags = {each["Key"]: each["Value"] for each in found.get("Tags", ())}
    if not site.owns(tags) and (tags or found["StackStatus"] not in (IN_REVIEW, "DELETE_IN_PROGRESS")):
        raise RefusedError(f"stack {name}: somebody else's, without the tag {OWNER_TAG}={name}: choose another `name`")
    return Stack(
        name=name,
        id=found["StackId"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())},
        outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())},
        drifted=found.get("DriftInformation", {}).get("StackDriftStatus") == "DRIFTED",
    )


def obstacle(stack: Stack) -> str | None:
    """Why nothing can be done with a stack but to delete it or to wait, and what to do; None where there is nothing."""
    state = f"{stack.status}, DRIFTED" if stack.drifted else stack.status
    advice = next((each["advice"] for each in _OBSTACLES if re.search(each["pattern"], state)), None)
    reason = f" ({stack.reason})" if stack.reason else ""
    return f"stack {stack.name}: {state}{reason}: {advice.format(name=stack.name)}" if advice else None


def require_outputs(aws: Aws, site: Site, target: Target = SERVERLESS) -> Mapping[str, str]:
    """The stack's outputs; `RefusedError` if there is none, or it is not at rest, or not as the specification says."""
    stack = find_stack(aws, site)
    if stack is None:
        raise RefusedError(f"stack {site.spec.name}: there is none in {aws.region}: `orchard-deploy up` makes it")
    if line := obstacle(stack) or outdated(site, stack, target):
        raise RefusedError(line)
    return stack.outputs


def outdated(site: Site, stack: Stack, target: Target = SERVERLESS) -> str | None:
    """How a stack differs from the specification, its image apart; on EKS only what counts there."""
    found, makes = stack.parameters, bool(stack.made_bucket and site.bucket)
    wanted = stack_parameters(site, digest=found.get("ImageDigest"), makes_bucket=makes)
    needed = wanted if target is SERVERLESS else ("RepositoryName", "BucketName")
    changed = ", ".join(name for name in needed if found.get(name) != wanted[name])
    line = f"stack {stack.name}: {changed}: differs from the specification: `orchard-deploy up` changes that"
    return line if changed else None


def check_buckets(aws: Aws, site: Site, target: Target, *, must_exist: bool = True) -> bool:
    """Whether the specification's own bucket is missing: `RefusedError` if it `must_exist`, or if others do not fit."""
    here, own = site.account.region, {site.bucket: "bucket"} if site.bucket else {}
    for bucket, keys in {**site.named_buckets, **own}.items():
        named = f"{keys}: bucket {site.account.mask(bucket)}"
        try:
            region = s3.bucket_region(aws, bucket)
        except DeniedError as exc:
            reason = "it is someone else's, or you may not look at it: have it opened, or name another"
            raise RefusedError(f"{named}: {reason}") from exc
        if region is None and bucket == site.bucket and not must_exist:
            return True
        if region is None:
            reason = "there is none, and `up` makes only that of `bucket`, once: make it, or name another"
            raise RefusedError(f"{named}: {reason}")
        if region != here and target is SERVERLESS:  # which reaches S3 in its own region only
            raise RefusedError(f"{named}: it is in {region}: name one in {here}, or run in {region} (--region)")
    return False


def settled_stack(context: Context) -> Stack | None:
    """Our stack once CloudFormation is at rest; what a killed command started is completed, or deleted."""
    stack = find_stack(context.aws, context.site)
    if stack and stack.passing:
        stack = delete_stack(context, stack) if stack.status == IN_REVIEW else watch_stack(context, stack.id)
    named = {"StackName": context.site.spec.name}
    for found in context.aws.pages(SERVICE, "list_change_sets", named, "Summaries") if stack else ():
        if found["ChangeSetName"].startswith(PREFIX):
            context.aws.call(SERVICE, "delete_change_set", {**named, "ChangeSetName": found["ChangeSetName"]})
    return stack


def delete_stack(context: Context, stack: Stack) -> Stack | None:
    """Delete a stack, and wait until it is gone; `RefusedError` if something of it cannot be deleted."""
    if application := stack.outputs.get("Application"):
        emr.stop_application(context, application)
    delete = partial(context.aws.call, SERVICE, "delete_stack", {"StackName": stack.id})
    return watch_stack(context, stack.id, delete, wanted=())


def watch_stack(
    context: Context, stack: str, act: Callable[[], object] = lambda: None, *, wanted: Container[str] | None = None
) -> Stack | None:
    """Act, then print what happens to a stack until it is at rest; `RefusedError` if not in a `wanted` state."""
    what = f"stack {context.site.spec.name}"
    # The newest first; of a stack that is deleted by its id only.
    events = partial(context.aws.pages, SERVICE, "describe_stack_events", {"StackName": stack}, "StackEvents")
    shown = {event["EventId"] for event in islice(events(), 1)}
    failed: list[str] = []
    act()

    def look() -> Stack | None:
        found = find_stack(context.aws, context.site)
        for event in reversed(list(takewhile(lambda event: event["EventId"] not in shown, events()))):
            shown.add(event["EventId"])
            line = ": ".join(filter(None, (event["LogicalResourceId"], event.get("ResourceStatusReason"))))
            context.say(f"{event['ResourceStatus']:28}{line}")
            if event["ResourceStatus"].endswith("_FAILED"):
                failed.append(line)
        return found

    # An application takes a minute or two.
    settled = context.wait(look, lambda now: not (now and now.passing), what=what, seconds=1800.0)
    if settled and wanted is not None and settled.status not in wanted:
        reason = failed[0] if failed else settled.reason or "no reason given"
        raise RefusedError(f"{what}: {settled.status}: {reason}: mend that, then call again")
    return settled
