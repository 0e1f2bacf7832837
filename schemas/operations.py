"""The records of the topic `operations`, for people to read and for audits.

They say what too much work has switched on or off, and what an operator has done to dead letters.
"""

from collections.abc import Mapping
from enum import StrEnum

import orjson

from schemas.times import rfc3339, utc_datetime_of_ms


def encode_switch_moved(
    *, switch: str, is_on: bool, at_ms: int, measured: int, version: int, sentence: str
) -> bytes:
    """A move as JSON. `measured` is what moved it, and `version` counts the moves of this switch from 1 on.

    A move may be announced twice, with the same version.
    """
    return orjson.dumps(
        {
            "type": "switch_moved",
            "switch": switch,
            "is_on": is_on,
            "at": rfc3339(utc_datetime_of_ms(at_ms)),
            "measured": measured,
            "version": version,
            "sentence": sentence,
        }
    )


class RunState(StrEnum):
    """A run that only ever started was killed. A stopped one was interrupted, a failed one met an outage."""

    STARTED = "started"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


def encode_dead_letters_run(
    *,
    run: str,
    action: str,
    state: RunState,
    by: str,
    at_ms: int,
    selected: Mapping[str, object],
    counts: Mapping[str, int],
) -> bytes:
    """A run of an operator over dead letters as JSON: one record when it starts and one when it ends.

    `run` is the same in both. `selected` says which dead letters were meant; `counts` how many were handled,
    how many had to be left, by reason, and how many were looked at, and is empty at the start.
    """
    return orjson.dumps(
        {
            "type": "dead_letters_run",
            "run": run,
            "action": action,
            "state": state.value,
            "by": by,
            "at": rfc3339(utc_datetime_of_ms(at_ms)),
            "selected": selected,
            "counts": counts,
        }
    )
