"""What every command about AWS works with: specification, account, client, record, and how to report and wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchard_deploy.image.tag import image_tag, ingredients
from orchard_deploy.site import Site
from orchard_deploy.targets import Target
from orchard_deploy.terminal import say
from orchard_deploy.waiting import Pace

if TYPE_CHECKING:
    from orchard_deploy.aws import Aws
    from orchard_deploy.runs.record import RecordFile

# How long every command waits between two questions.
PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class Context:
    """A specification in an account; the content of `tree` names the image, `now` is in seconds since 1970."""

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
        """Print a line for a person, without the account's number: it may end up in a log."""
        self.tell(self.site.account.mask(line))
