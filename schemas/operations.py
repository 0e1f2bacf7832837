"""The records of the topic `operations`: what too much work has switched on or off, for people to read."""

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
