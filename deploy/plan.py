"""What has to be done, decided from the specification and what there is: a list of calls with their exact inputs. Pure.

Tags of the specification that what is ours does not have, or has with other values, are put on it; those that were
taken out of the specification stay, since nobody knows any more whose they are.

An application can be changed only while it is stopped or was never started, and stopped only while no run is active.
Everything that is made carries a tag that says for which specification, so that what is ours is known even when the
record on disk is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy import payloads
from deploy.compare import differences, includes, same_policy
from deploy.errors import RefusedError
from deploy.iam import JOB_POLICY, job_policy, job_trust, repository_policy
from deploy.observed import Application, Observed, Repository
from deploy.site import OWNER_TAG, Site
from deploy.targets import SERVERLESS, Target

# Kinds of things that are made, in the order in which they are made.
REPOSITORY, BUCKET, ROLE, APPLICATION = "repository", "bucket", "role", "application"
# States in which an application takes changes or may be deleted.
AT_REST = frozenset({"CREATED", "STOPPED"})
# States that pass by themselves.
PASSING = frozenset({"CREATING", "STARTING", "STOPPING"})


@dataclass(frozen=True, kw_only=True)
class Action:
    """One call to AWS.

    Attributes:
        about: what it does, for a person.
        makes, name: the kind and name of the thing that exists from this call on.
        removes: the kind of the thing that is gone after it.
        result: name of the answer's field that holds the id of what was made, where AWS chooses it.
        settles: states of the application to wait for afterwards.
        empties: whether what is in the bucket goes first.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    about: str
    makes: str | None = None
    name: str | None = None
    removes: str | None = None
    result: str | None = None
    settles: frozenset[str] = frozenset()
    empties: bool = False


def plan_up(
    site: Site,
    seen: Observed,
    *,
    tag: str,
    recorded: Mapping[str, str],
    new_token: Callable[[], str],
    target: Target = SERVERLESS,
) -> list[Action]:
    """The calls that are missing; none if everything is as it should be.

    The application comes last, and only once its image is in the repository: EMR Serverless looks for it there. EMR on
    EKS needs no application, and its role and virtual cluster belong to whoever runs the cluster.

    Args:
        tag: of the wanted image.
        recorded: kinds and names of what `up` made before, as far as it was recorded.
        new_token: makes a client token.

    Raises:
        RefusedError: something of that name is not ours, a run is active on an application that has to change, or a
            name was changed.
    """
    if lost := next(renamed(site, recorded), None):
        raise RefusedError(
            f"{lost}: put that name back and call `orchard-deploy down` first, or nothing would ever delete it"
        )
    actions = [*_repository(site, seen, target), *_bucket(site, seen, recorded)]
    if target is not SERVERLESS:
        return actions
    actions += _role(site, seen)
    return [*actions, *plan_application(site, seen, tag=tag, new_token=new_token)] if seen.digest else actions


def plan_application(site: Site, seen: Observed, *, tag: str, new_token: Callable[[], str]) -> list[Action]:
    """The calls that give the application its image and its cap."""
    image, application = payloads.image_uri(site, tag, seen.digest), own_application(site, seen)
    if application is None:
        return [_create_application(site, image, new_token())]
    tagging = [] if tagged(site, application.tags) else [_tag_application(site, application)]
    changed = differences(payloads.application_settings(site, image), application.settings)
    if not changed:
        return tagging
    if seen.active:
        raise RefusedError(
            f"application {application.id}: {', '.join(changed)} must change, and run {seen.active[0].id} is active: "
            "wait for its end, or cancel it with `orchard-deploy cancel`"
        )
    stop = [] if application.state in AT_REST else [stop_application(application)]
    return [*tagging, *stop, _update_application(site, image, application, changed, new_token())]


def own_application(site: Site, seen: Observed) -> Application | None:
    """The one application of this specification, if there is one.

    Raises:
        RefusedError: there are several, or one of that name was made by someone else.
    """
    own = [application for application in seen.applications if is_own(site, application.tags)]
    if len(own) > 1:
        names = ", ".join(application.id for application in own)
        raise RefusedError(
            f"applications {names} are all called {site.spec.name}: `orchard-deploy down` deletes them, `up` makes one "
            "again"
        )
    if seen.applications and not own:
        raise RefusedError(
            f"application {seen.applications[0].id} is called {site.spec.name} too, "
            "and orchard-deploy did not make it: choose another `name` in the specification"
        )
    return own[0] if own else None


def plan_down(site: Site, seen: Observed, *, recorded: Mapping[str, str], with_data: bool) -> list[Action]:
    """The calls that delete what `up` made, and nothing else; runs are over by then."""
    actions = [
        action
        for application in seen.applications
        if is_own(site, application.tags)
        for action in _delete_application(application)
    ]
    if seen.role and is_own(site, seen.role.tags):
        actions += _delete_role(site, policy=seen.role.policy is not None)
    if seen.repository and is_own(site, seen.repository.tags):
        name = {"repositoryName": site.spec.repository}
        about = f"delete ECR repository {site.spec.repository} with its images"
        actions.append(
            Action(
                service="ecr",
                operation="delete_repository",
                parameters={**name, "force": True},
                about=about,
                removes=REPOSITORY,
            )
        )
    if bucket_is_own(site, seen, recorded) and (with_data or (seen.bucket and seen.bucket.empty)):
        about = f"delete bucket {site.account.mask(site.bucket or '')}" + (
            " with everything in it" if with_data else ""
        )
        actions.append(_s3("delete_bucket", {"Bucket": site.bucket}, about, removes=BUCKET, empties=with_data))
    return actions


def left_behind(site: Site, seen: Observed, *, recorded: Mapping[str, str], with_data: bool) -> Iterator[str]:
    """What `plan_down` leaves, and why."""
    yield from (f"{thing}: put that name back and call `down` again" for thing in renamed(site, recorded))
    if seen.bucket and bucket_is_own(site, seen, recorded) and not seen.bucket.empty and not with_data:
        yield f"bucket {site.account.mask(site.bucket or '')}: holds data: delete it with --with-data"
    foreign = {
        f"bucket {site.account.mask(site.bucket or '')}": seen.bucket is not None
        and not bucket_is_own(site, seen, recorded),
        f"ECR repository {site.spec.repository}": seen.repository is not None
        and not is_own(site, seen.repository.tags),
        f"role {site.role}": seen.role is not None and not is_own(site, seen.role.tags),
        **{f"application {found.id}": not is_own(site, found.tags) for found in seen.applications},
    }
    yield from (f"{thing}: orchard-deploy did not make it" for thing, there in foreign.items() if there)


def is_own(site: Site, tags: Mapping[str, str]) -> bool:
    """Whether something with these tags was made for this specification."""
    return tags.get(OWNER_TAG) == site.spec.name


def tagged(site: Site, tags: Mapping[str, str]) -> bool:
    """Whether something has every tag that it should have; what others have put there does not count."""
    return site.tags.items() <= tags.items()


def bucket_is_own(site: Site, seen: Observed, recorded: Mapping[str, str]) -> bool:
    """A bucket is tagged in a second call: before that, only the record knows."""
    if seen.bucket is None:
        return False
    return is_own(site, seen.bucket.tags) or (
        recorded.get(BUCKET) == site.account.mask(site.bucket or "") and not seen.bucket.tags
    )


def renamed(site: Site, recorded: Mapping[str, str]) -> Iterator[str]:
    """What was made under a name that the specification does not have any more, and is therefore not looked at."""
    now = {REPOSITORY: site.spec.repository, BUCKET: site.account.mask(site.bucket or ""), ROLE: site.role}
    for kind, name in now.items():
        if recorded.get(kind, name) != name:
            yield f"{kind} {recorded[kind]}: made before the specification named {name or 'none'}"


def stop_application(application: Application) -> Action:
    """The call that stops an application; it waits until it is at rest."""
    return Action(
        service="emr-serverless",
        operation="stop_application",
        parameters={"applicationId": application.id},
        about=f"stop application {application.id}",
        settles=AT_REST,
    )


def _repository(site: Site, seen: Observed, target: Target) -> Iterator[Action]:
    found, name = seen.repository, site.spec.repository
    if found and not is_own(site, found.tags):
        _check_foreign_repository(site, found, target)
        return
    if found is None:
        yield _ecr(
            "create_repository",
            payloads.create_repository(site),
            f"make ECR repository {name}",
            makes=REPOSITORY,
            name=name,
        )
    if found and not tagged(site, found.tags):
        yield _ecr("tag_resource", payloads.tag_repository(site), f"tag ECR repository {name}")
    if found and not found.immutable:
        yield _ecr(
            "put_image_tag_mutability",
            payloads.put_image_tag_mutability(site),
            f"keep the tags of {name} from being overwritten",
        )
    if found and not found.scans:
        yield _ecr(
            "put_image_scanning_configuration",
            payloads.put_image_scanning_configuration(site),
            f"scan what is pushed to {name}",
        )
    if target is SERVERLESS and not (found and includes(found.policy, repository_policy(site))):
        policy = payloads.set_repository_policy(site, found.policy if found else None)
        yield _ecr("set_repository_policy", policy, f"let EMR Serverless read the images of {name}")


def _check_foreign_repository(site: Site, found: Repository, target: Target) -> None:
    """A repository that someone else made is used as it is, if it will do."""
    name = site.spec.repository
    if not found.immutable:
        raise RefusedError(
            f"ECR repository {name}: its tags can be overwritten, so a tag does not say what runs: make them immutable "
            f"(aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE), or name "
            "another repository"
        )
    if target is SERVERLESS and not includes(found.policy, repository_policy(site)):
        raise RefusedError(
            f"ECR repository {name}: orchard-deploy did not make it, and EMR Serverless may not read its images: add "
            "the statement that `orchard-deploy iam repository` prints to its policy, or name another repository"
        )


def _bucket(site: Site, seen: Observed, recorded: Mapping[str, str]) -> Iterator[Action]:
    """A bucket that someone else made is used as it is."""
    if site.bucket is None or (seen.bucket and not bucket_is_own(site, seen, recorded)):
        return
    found, name = seen.bucket, site.account.mask(site.bucket)
    if found is None:
        yield _s3(
            "create_bucket",
            payloads.create_bucket(site),
            f"make bucket {name} in {site.account.region}",
            makes=BUCKET,
            name=name,
        )
    if found is None or not tagged(site, found.tags):
        yield _s3(
            "put_bucket_tagging", payloads.put_bucket_tagging(site, found.tags if found else {}), f"tag bucket {name}"
        )
    if found is None or not found.blocked:
        yield _s3(
            "put_public_access_block", payloads.put_public_access_block(site), f"keep bucket {name} from the public"
        )


def _role(site: Site, seen: Observed) -> Iterator[Action]:
    found = seen.role
    if found is None:
        yield _iam("create_role", payloads.create_role(site), f"make role {site.role}", makes=ROLE, name=site.role)
    elif not is_own(site, found.tags):
        raise RefusedError(
            f"role {site.role}: orchard-deploy did not make it: rename or delete it, or choose another `name`"
        )
    elif not tagged(site, found.tags):
        yield _iam("tag_role", payloads.tag_role(site), f"tag role {site.role}")
    yield from plan_rights(site, seen)


def plan_rights(site: Site, seen: Observed) -> Iterator[Action]:
    """The calls that let EMR Serverless take the job's role, and let the role do what the specification needs."""
    found = seen.role
    if found and not same_policy(job_trust(site), found.trust):
        yield _iam(
            "update_assume_role_policy", payloads.update_role_trust(site), f"let EMR Serverless take role {site.role}"
        )
    if found is None or not same_policy(job_policy(site), found.policy):
        yield _iam(
            "put_role_policy",
            payloads.put_role_policy(site),
            f"let role {site.role} read the input and keep the output",
        )


def _create_application(site: Site, image: str, token: str) -> Action:
    return Action(
        service="emr-serverless",
        operation="create_application",
        parameters=payloads.create_application(site, image, token=token),
        about=f"make application {site.spec.name} ({site.spec.release_label}, at most {_cap(site)})",
        makes=APPLICATION,
        result="applicationId",
        settles=AT_REST,
    )


def _tag_application(site: Site, application: Application) -> Action:
    return Action(
        service="emr-serverless",
        operation="tag_resource",
        parameters=payloads.tag_application(site, application.id),
        about=f"tag application {application.id}",
    )


def _update_application(site: Site, image: str, application: Application, changed: list[str], token: str) -> Action:
    return Action(
        service="emr-serverless",
        operation="update_application",
        parameters=payloads.update_application(site, image, application=application.id, token=token),
        about=f"change application {application.id}: {', '.join(changed)}",
    )


def _delete_application(application: Application) -> list[Action]:
    delete = Action(
        service="emr-serverless",
        operation="delete_application",
        parameters={"applicationId": application.id},
        about=f"delete application {application.id}",
        removes=APPLICATION,
    )
    return [delete] if application.state in AT_REST else [stop_application(application), delete]


def _delete_role(site: Site, *, policy: bool) -> list[Action]:
    inline = _iam(
        "delete_role_policy",
        {"RoleName": site.role, "PolicyName": JOB_POLICY},
        f"delete the policy of role {site.role}",
    )
    role = _iam("delete_role", {"RoleName": site.role}, f"delete role {site.role}", removes=ROLE)
    return [inline, role] if policy else [role]


def _ecr(operation: str, parameters: Mapping[str, Any], about: str, **more: Any) -> Action:
    return Action(service="ecr", operation=operation, parameters=parameters, about=about, **more)


def _s3(operation: str, parameters: Mapping[str, Any], about: str, **more: Any) -> Action:
    return Action(service="s3", operation=operation, parameters=parameters, about=about, **more)


def _iam(operation: str, parameters: Mapping[str, Any], about: str, **more: Any) -> Action:
    return Action(service="iam", operation=operation, parameters=parameters, about=about, **more)


def _cap(site: Site) -> str:
    most = payloads.application_settings(site, "")["maximumCapacity"]
    return f"{most['cpu']}, {most['memory']}, {most['disk']} of disk"
