"""The stack as it is: whose it is, whether anything is in its way, and what runs need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchard_deploy.errors import AwsError, RefusedError
from orchard_deploy.site import OWNER_TAG, Site
from orchard_deploy.stack.parameters import stack_parameters
from orchard_deploy.targets import SERVERLESS, Target

if TYPE_CHECKING:
    from orchard_deploy.aws import Aws

SERVICE = "cloudformation"
# A stack that a change set was made for and nothing else: nothing of it exists yet, and it may have no tags.
IN_REVIEW = "REVIEW_IN_PROGRESS"
_UNTAGGED = (IN_REVIEW, "DELETE_IN_PROGRESS")
# Parameters that runs on EKS need.
_ON_EKS = ("RepositoryName", "BucketName")
# States that nothing passes from by itself, and what to do.
_INCOMPLETE = "it is incomplete: `orchard-deploy down` deletes what there is of it, then `up` makes it again"
_HALF_CHANGED = (
    "it is changed in part: `aws cloudformation continue-update-rollback --stack-name {name}` first, then this again"
)
_STUCK = {
    **dict.fromkeys(("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"), _INCOMPLETE),
    **dict.fromkeys(("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED", "IMPORT_ROLLBACK_FAILED"), _HALF_CHANGED),
}


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
    try:
        found = aws.call(SERVICE, "describe_stacks", {"StackName": site.slug})["Stacks"][0]
    except AwsError as error:
        if error.code == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    if found["StackStatus"] == "DELETE_COMPLETE":
        return None
    tags = {each["Key"]: each["Value"] for each in found.get("Tags", ())}
    if not is_own(site, tags) and (tags or found["StackStatus"] not in _UNTAGGED):
        raise RefusedError(
            f"stack {site.slug}: it is there already, without the tag {OWNER_TAG}={site.spec.name}: "
            "choose another `name` in the specification"
        )
    return Stack(
        name=found["StackName"],
        id=found["StackId"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())},
        outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())},
        drifted=found.get("DriftInformation", {}).get("StackDriftStatus") == "DRIFTED",
    )


def is_own(site: Site, tags: Mapping[str, str]) -> bool:
    """Whether something with these tags was made for this specification."""
    return tags.get(OWNER_TAG) == site.spec.name


def obstacle(stack: Stack) -> str | None:
    """Why nothing can be done with a stack but to delete it or to wait, and what to do; None where there is nothing."""
    named = f"stack {stack.name}: {stack.status}"
    if stack.status in _STUCK:
        return f"{named}{f' ({stack.reason})' if stack.reason else ''}: {_STUCK[stack.status].format(name=stack.name)}"
    if stack.passing:
        return f"{named}: CloudFormation is at work on it: `orchard-deploy up` waits for it"
    if stack.drifted:
        return (
            f"stack {stack.name}: drifted: somebody changed by hand what `aws cloudformation "
            f"describe-stack-resource-drifts --stack-name {stack.name}` lists: put it back, then "
            f"`aws cloudformation detect-stack-drift --stack-name {stack.name}` looks again"
        )
    return None


def require_outputs(aws: Aws, site: Site, target: Target = SERVERLESS) -> Mapping[str, str]:
    """The stack's outputs; `RefusedError` if there is none, or it is not at rest, or not as the specification says."""
    stack = find_stack(aws, site)
    if stack is None or stack.status == IN_REVIEW:
        raise RefusedError(f"stack {site.slug}: there is none in {site.account.region}: `orchard-deploy up` makes it")
    if line := obstacle(stack) or outdated(site, stack, target):
        raise RefusedError(line)
    return stack.outputs


def outdated(site: Site, stack: Stack, target: Target = SERVERLESS) -> str | None:
    """How a stack differs from the specification, its image apart; on EKS only what counts there."""
    found, makes = stack.parameters, bool(stack.made_bucket and site.bucket)
    wanted = stack_parameters(site, digest=found.get("ImageDigest"), makes_bucket=makes)
    changed = [name for name in (wanted if target is SERVERLESS else _ON_EKS) if found.get(name) != wanted[name]]
    line = f"stack {stack.name}: {', '.join(changed)}: differs from the specification: `orchard-deploy up` changes that"
    return line if changed else None
