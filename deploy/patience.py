"""How long `submit --wait` stays with a run, and how long a run may be at work where its service ends none. Pure."""

from __future__ import annotations

from deploy.payloads import QUEUE_MINUTES
from deploy.spec import Spec
from deploy.targets import Target

# Minutes that a run may spend on getting workers and on its end, beyond its queue and its own time-out.
_SLACK = 30


def allowance(spec: Spec) -> float:
    """Seconds that a run may be at work: its time-out, at every attempt. The worst case is paid for these."""
    return spec.timeout_minutes * 60.0 * spec.max_attempts


def patience(spec: Spec, target: Target, asked_minutes: float | None = None) -> float:
    """Seconds to stay with a run.

    Args:
        asked_minutes: `--wait-minutes`. Without it nothing is cut short that its service, or the run's allowance, would
            end by itself.
    """
    if asked_minutes is not None:
        return asked_minutes * 60
    queue = QUEUE_MINUTES if target.ends_runs else 0
    return allowance(spec) + (queue + _SLACK) * 60
