"""Two switches protect the pipeline: the breaker by the backlog in deliveries, shedding by records that wait.

Each is on above one limit and off only below a lower one, so that a value near a limit does not move it back
and forth. Its state is stored, and changes by compare-and-set, so that all workers agree on it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Switch(StrEnum):
    """What can be switched on by too much work; `BREAKER` is open while it is on."""

    BREAKER = "breaker"
    SHEDDING = "shedding"


@dataclass(frozen=True, slots=True)
class SwitchLimits:
    """On above `on_above`, off below `off_below`, both in what the switch measures."""

    on_above: int
    off_below: int

    def __post_init__(self) -> None:
        if not 0 < self.off_below <= self.on_above:
            raise ValueError(f"{self.off_below=} must be above 0 and at most {self.on_above=}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchState:
    """A switch as stored. `measured` is what moved it, and `version` counts the moves.

    `is_announced`: the move is on the topic `operations`.
    """

    switch: Switch
    is_on: bool = False
    since_ms: int = 0
    measured: int = 0
    version: int = 0
    is_announced: bool = True


def moved(state: SwitchState, measured: int, limits: SwitchLimits, now_ms: int) -> SwitchState | None:
    """Return the state after `measured`, or None if the switch stays where it is.

    A move that is not announced yet comes first: until then nothing follows it.
    """
    is_on = measured > limits.on_above or (state.is_on and measured >= limits.off_below)
    if is_on == state.is_on or not state.is_announced:
        return None
    return SwitchState(
        switch=state.switch,
        is_on=is_on,
        since_ms=now_ms,
        measured=measured,
        version=state.version + 1,
        is_announced=False,
    )
