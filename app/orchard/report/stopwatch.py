"""How long each stage of a run takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Wall-clock seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of a block to `stage`."""
        before = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - before

    def total(self) -> dict[str, float]:
        """Every stage, and `total` since the stopwatch was made."""
        return {**self.seconds, "total": time.perf_counter() - self.started}
