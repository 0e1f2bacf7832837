"""What the topic `operations` says can be read by people and by programs."""

import orjson

from schemas.operations import encode_switch_moved


def test_a_move_names_what_when_and_why() -> None:
    value = encode_switch_moved(
        switch="breaker",
        is_on=True,
        at_ms=1_800_000_000_123,
        measured=5_000_001,
        version=7,
        sentence="the breaker opens",
    )

    assert orjson.loads(value) == {
        "type": "switch_moved",
        "switch": "breaker",
        "is_on": True,
        "at": "2027-01-15T08:00:00.123000Z",
        "measured": 5_000_001,
        "version": 7,
        "sentence": "the breaker opens",
    }
