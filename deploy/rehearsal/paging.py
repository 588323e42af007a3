"""Answers in pages, as both services give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
_MOST = 50


def page_of(items: Sequence[T], asked: Mapping[str, Any]) -> tuple[Sequence[T], dict[str, str]]:
    """The asked page, and the token of the next one if there is one."""
    first, size = int(asked.get("nextToken", "0")), int(asked.get("maxResults", _MOST))
    more = {"nextToken": str(first + size)} if first + size < len(items) else {}
    return items[first : first + size], more
