"""Something far away as a Python file that fetches only what is read of it: for tables of which a few columns are wanted."""

from __future__ import annotations

import io
from collections.abc import Callable


class RangedFile(io.RawIOBase):
    """A file, each read of which is one request.

    Args:
        size: bytes of the whole.
        fetch: gives so many bytes (second argument) from a place (first argument) on.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch, self._position = size, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        wanted = left if size < 0 else min(size, left)
        content = self._fetch(self._position, wanted) if wanted else b""
        self._position += len(content)
        return content
