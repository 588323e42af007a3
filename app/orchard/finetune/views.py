"""From photos to what the tuned blocks take: read ahead, decoded, changed, and through the frozen blocks in threads.

LiteRT and Pillow leave Python's lock alone while they work. Each photo is computed on one thread, so that the number of
threads changes no bit.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import Self, TypeVar

import numpy as np

from orchard.errors import InputError, PhotoError
from orchard.finetune.looks import Look, apply
from orchard.network.bake.interpreting import Run, open_model
from orchard.network.tuning.tuner import Array
from orchard.photos.decoding import decode
from orchard.photos.photo import Photo, ignore
from orchard.photos.prefetch import Content, read_ahead
from orchard.photos.source import PhotoSource

Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD = 64  # photos computed before they are asked for: two steps of training


def usable_cores() -> int:
    """Of this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_hashes(source: PhotoSource, photos: Sequence[Photo], size: tuple[int, int]) -> list[str | PhotoError]:
    """Read and decode every photo once: its SHA-256, or why it cannot be used."""

    def check(content: Content | PhotoError) -> str | PhotoError:
        try:
            if isinstance(content, PhotoError):
                return content
            decode(content.data, size)
            return content.sha256
        except PhotoError as error:
            return error

    with ThreadPoolExecutor(usable_cores()) as pool, closing(read_ahead(source, photos, ignore)) as contents:
        return list(_in_order(pool, check, contents))


class Views:
    """What the frozen blocks make of photos; a context manager, which ends its threads."""

    def __init__(self, source: PhotoSource, size: tuple[int, int], frozen: bytes, threads: int) -> None:
        self._source, self._size = source, size
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="views")
        self._idle = SimpleQueue[Run]()
        for _ in range(threads):
            self._idle.put(open_model(frozen))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def parts(self, photos: Sequence[Photo], look: Callable[[int], Look | None]) -> Iterator[Array]:
        """Of each photo in order, float32 (height, width, channels); `look` says how the n-th one is changed.

        `InputError` for a photo that can no longer be read as it was listed.
        """
        with closing(read_ahead(self._source, photos, ignore)) as contents:
            numbered = zip(range(len(photos)), photos, contents, strict=True)
            yield from _in_order(self._pool, lambda item: self._part(*item, look), numbered)

    def _part(
        self, number: int, photo: Photo, content: Content | PhotoError, look: Callable[[int], Look | None]
    ) -> Array:
        try:
            if isinstance(content, PhotoError):
                raise content
            pixels = decode(content.data, self._size)
        except PhotoError as error:
            what = f"{photo.path} can no longer be used ({error}): leave the photos alone, and call again"
            raise InputError(f"--input {self._source.uri}: {what}") from error
        chosen = look(number)
        run = self._idle.get()
        try:
            return np.asarray(run(pixels if chosen is None else apply(chosen, pixels))[0][0], np.float32)
        finally:
            self._idle.put(run)


def _in_order(pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of a function for each item, computed in threads, some ahead of who asks."""
    pending = deque[Future[Result]]()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
