"""Questions to EMR Serverless about applications; `runs` asks about runs, here and on EKS."""

from __future__ import annotations

from deploy.aws.session import Aws
from deploy.errors import AwsError
from deploy.observed import Application
from deploy.targets import SERVERLESS

SERVICE = SERVERLESS.service
# Every state but that of a deleted application, which stays listed for a while.
_THERE = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]


def find_applications(aws: Aws, name: str) -> tuple[Application, ...]:
    """The applications of this name, over all pages and states, deleted ones apart."""
    listed = aws.pages(SERVICE, "list_applications", {"states": _THERE}, "applications")
    found = (get_application(aws, entry["id"]) for entry in listed if entry.get("name") == name)
    return tuple(application for application in found if application)


def get_application(aws: Aws, application: str) -> Application | None:
    """An application, unless it is gone."""
    try:
        found = aws.call(SERVICE, "get_application", {"applicationId": application})["application"]
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    if found["state"] == "TERMINATED":
        return None
    return Application(id=found["applicationId"], state=found["state"], tags=found.get("tags", {}), settings=found)
