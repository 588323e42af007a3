"""Client tokens: a repeated call gets the first one's answer, another call with the same token is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deploy.rehearsal.protocol import RefusalError


class Tokens:
    """What was made under which token."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[str, str]] = {}

    def known(self, operation: str, asked: Mapping[str, Any]) -> str | None:
        """What this call made before.

        Raises:
            RefusalError: its token belongs to a call with another input.
        """
        found = self._made.get((operation, asked["clientToken"]))
        if found is None:
            return None
        if found[0] != json.dumps(asked, sort_keys=True):
            raise RefusalError(
                "ConflictException", f"clientToken {asked['clientToken']} was used with another input", 409
            )
        return found[1]

    def keep(self, operation: str, asked: Mapping[str, Any], made: str) -> None:
        """Remember what a call made."""
        self._made[operation, asked["clientToken"]] = (json.dumps(asked, sort_keys=True), made)
