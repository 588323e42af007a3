"""L-BFGS for several functions in lockstep: one call evaluates all of them that are still being minimized.

SciPy's minimizer asks for a value whenever it wants one. Here each runs in a thread of its own that waits for the
answer, and the calling thread answers all of them at once: for functions that are sums over the same rows, one pass
over the rows serves them all.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from threadpoolctl import threadpool_limits

from orchard.pca.moments import Matrix

# Values and gradients of some of the functions, each at a point of its own.
Evaluate = Callable[[list[int], list[Matrix]], Sequence[tuple[float, Matrix]]]
# Function and point to evaluate it at, or None: it is minimized, or its thread has failed.
_Question = tuple[int, Matrix | None]
_Answer = tuple[float, Matrix]
# SciPy's status for a minimization that was ended by the number of evaluations.
_TOO_MANY = 1


@dataclass(frozen=True)
class Minimum:
    """Where a minimization ended.

    Attributes:
        point: float64 (n,).
        value: of the function there.
        evaluations: how many it took.
        converged: whether the gradient became as small as was asked, or no lower value can be told in float64.
    """

    point: Matrix
    value: float
    evaluations: int
    converged: bool


def minimize_together(
    evaluate: Evaluate, starts: Sequence[Matrix], gtols: Sequence[float], *, most: int = 1000, memory: int = 20
) -> list[Minimum]:
    """Minimize functions 0, 1, … from points of float64 (n,); the same bits each time, if `evaluate` gives the same.

    An error in `evaluate`, and Ctrl-C, end all minimizations.

    Args:
        evaluate: called in this thread with those still to be minimized, in order.
        starts: one point a function.
        gtols: of each function; stop when no element of its gradient is above.
        most: evaluations of one function.
        memory: pairs of steps and gradients that L-BFGS keeps.
    """
    import scipy.optimize  # type: ignore[import-untyped]  # 0.2 s, which the workers do without

    questions: SimpleQueue[_Question] = SimpleQueue()
    answers: list[SimpleQueue[_Answer | None]] = [SimpleQueue() for _ in starts]
    options = {"ftol": 0, "maxfun": most, "maxiter": most, "maxcor": memory}

    def ask(point: Matrix, number: int) -> _Answer:
        questions.put((number, np.array(point)))  # SciPy goes on to use its own
        if (answer := answers[number].get()) is None:
            raise _StoppedError
        return answer

    def minimize(number: int) -> Minimum:
        own = {**options, "gtol": gtols[number]}
        try:
            found = scipy.optimize.minimize(ask, starts[number], (number,), method="L-BFGS-B", jac=True, options=own)
            return Minimum(found.x, float(found.fun), int(found.nfev), found.status != _TOO_MANY)
        finally:
            questions.put((number, None))

    # One thread in BLAS: its own ones would share these sums out by how many there are, and wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(max(1, len(starts))) as pool:
        try:
            futures = [pool.submit(minimize, number) for number in range(len(starts))]
            _answer(evaluate, questions, answers)
            return [future.result() for future in futures]
        finally:
            for queue in answers:  # where all went well nobody waits
                queue.put(None)


def _answer(
    evaluate: Evaluate, questions: SimpleQueue[_Question], answers: Sequence[SimpleQueue[_Answer | None]]
) -> None:
    """Answer round by round, in each of which every minimization asks once, or ends."""
    running = len(answers)
    while running:
        round_ = sorted((questions.get() for _ in range(running)), key=lambda question: question[0])
        asked = [(number, point) for number, point in round_ if point is not None]
        running = len(asked)
        if asked:
            found = evaluate([number for number, _ in asked], [point for _, point in asked])
            for (number, _), answer in zip(asked, found, strict=True):
                answers[number].put(answer)


class _StoppedError(Exception):
    """The minimizations have been ended from outside."""
