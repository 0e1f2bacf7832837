"""What the topic `operations` says can be read by people and by programs."""

import orjson

from schemas.operations import RunState, encode_dead_letters_run, encode_switch_moved


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


def test_a_run_names_who_what_which_and_how_many() -> None:
    value = encode_dead_letters_run(
        run="0b7f5c3e-8a43-4a3e-9a58-3f5f1c2b7d10",
        action="replay",
        state=RunState.FINISHED,
        by="ada",
        at_ms=1_800_000_000_123,
        selected={"topics": ["likes"], "key": None},
        counts={"replayed": 7},
    )

    assert orjson.loads(value) == {
        "type": "dead_letters_run",
        "run": "0b7f5c3e-8a43-4a3e-9a58-3f5f1c2b7d10",
        "action": "replay",
        "state": "finished",
        "by": "ada",
        "at": "2027-01-15T08:00:00.123000Z",
        "selected": {"topics": ["likes"], "key": None},
        "counts": {"replayed": 7},
    }
