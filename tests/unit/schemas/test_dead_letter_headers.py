"""The headers of a dead letter can be read again, and a replay carries on its attempt."""

from datetime import UTC, datetime

import pytest

from schemas.dead_letter_headers import (
    Failure,
    Headers,
    attempt_of,
    dead_letter_headers,
    failure_of,
    replay_headers,
)
from schemas.envelope import Reason, Record

FAILED_AT = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)
OWN: Headers = (("ce_id", b"e1"), ("trace", None), ("trace", b"\xff"))


def letter_headers(headers: Headers, left_out: str = "") -> Headers:
    record = Record("likes", 3, 42, 0, b"7", b"{", tuple(headers))
    return dead_letter_headers(
        record,
        reason=Reason.NOT_JSON,
        error="the caption is 'é', but must be é",
        group="check",
        failed_at=FAILED_AT,
        left_out=left_out,
    )


def test_what_was_written_is_read_again() -> None:
    assert failure_of(letter_headers(OWN, "value")) == Failure(
        reason="not_json",
        error="the caption is 'é', but must be é",
        partition=3,
        offset=42,
        group="check",
        attempt=1,
        failed_at_us=1_769_860_800_123_456,
        left_out="value",
    )


def test_a_replay_has_the_own_headers_and_the_next_attempt() -> None:
    """In their order, repeated names and null included."""
    assert [*OWN, ("shutterline_attempt", b"2")] == replay_headers(letter_headers(OWN))


def test_the_attempt_grows_with_each_replay_that_fails() -> None:
    """The dead letter of a replayed record carries on its attempt, so the loop ends."""
    headers, attempts = OWN, []
    for _ in range(3):
        letter = letter_headers(headers)
        attempts.append(attempt_of(letter))
        headers = replay_headers(letter)

    assert [1, 2, 3] == attempts
    assert list(OWN) == list(headers)[: len(OWN)]
    assert ["shutterline_attempt"] == [name for name, _ in headers[len(OWN) :]]


@pytest.mark.parametrize("forged", [b"0", b"-1", b"1.5", b" 2", b"1000000", b"\xff", b"", None, "²".encode()])
def test_an_attempt_that_nobody_here_wrote_is_the_first(forged: bytes | None) -> None:
    """Publishers may add any header. It must not raise, and not overflow."""
    assert 1 == attempt_of([("shutterline_attempt", forged)])


@pytest.mark.parametrize(
    "lacking", ["shutterline_reason", "shutterline_partition", "shutterline_offset", "shutterline_failed_at"]
)
@pytest.mark.parametrize("content", [None, b"", b"\xff", b"x" * 10])
def test_what_has_other_headers_is_no_dead_letter_of_ours(lacking: str, content: bytes | None) -> None:
    """Somebody else wrote it: it must not be replayed to a place that it invents."""
    headers = [(name, content if name == lacking else old) for name, old in letter_headers(OWN)]

    if lacking == "shutterline_reason" and content:
        assert failure_of(headers) is not None  # A later version may know it.
    else:
        assert failure_of(headers) is None
    assert failure_of([]) is None
