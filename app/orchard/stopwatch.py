"""How long each stage of a run takes."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds, self.started = dict[str, float](), time.perf_counter()

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of a block to `stage`."""
        before = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - before

    def total(self) -> dict[str, float]:
        """Every stage, and `total` since the stopwatch was made."""
        return {**self.seconds, "total": time.perf_counter() - self.started}
