"""A dead letter fits its topic, however large its record is once it is unpacked."""

from collections.abc import Sequence

import pytest

from schemas.dead_letter_headers import ADDED_HEADERS, LEFT_OUT_HEADER
from schemas.envelope import PoisonEvent, Reason, Record
from streams.kafka.consuming.waiting import PartitionRevoked
from streams.kafka.producing.producer import Outgoing, Producer
from streams.kafka.stages.dead_letters import DeadLetters
from streams.settings import KafkaSettings, RetrySettings
from topics.catalogue import RECORD_BYTES_MAX, UPLOADS

HEADERS = (("ce_id", b"e1"), ("trace", None))
POISON = PoisonEvent(Reason.INVALID_DATA, "caption is too long")
LARGE = bytes(2_100_000)  # Zeros, which gzip packs into 2 kB.


def record(
    value: bytes | None, key: bytes = b"7", headers: Sequence[tuple[str, bytes | None]] = HEADERS
) -> Record:
    return Record("uploads", 3, 42, 0, key, value, tuple(headers))


async def letter_of(poison: Record) -> Outgoing:
    letters: list[Outgoing] = []

    class Sent:
        async def send(self, records: Sequence[Outgoing]) -> None:
            letters.extend(records)

    await DeadLetters(Sent(), UPLOADS, "", "check", RetrySettings()).publish([(poison, POISON)], lambda: True)
    [letter] = letters
    return letter


@pytest.mark.parametrize("value", [b"{}", None, bytes(RECORD_BYTES_MAX)])
async def test_a_record_of_the_largest_size_stays_whole(value: bytes | None) -> None:
    """Key, value and headers are unchanged, and no header says otherwise."""
    letter = await letter_of(record(value))

    assert (letter.key, letter.value) == (b"7", value)
    assert letter.headers[: len(HEADERS)] == list(HEADERS)
    assert [name for name, _ in letter.headers[len(HEADERS) :]] == list(ADDED_HEADERS)


async def test_a_larger_value_is_left_out() -> None:
    """The rest is there, with the offset at which an operator reads the record itself."""
    letter = await letter_of(record(LARGE))

    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["ce_id"]) == (b"7", None, b"e1")
    assert (headers["shutterline_partition"], headers["shutterline_offset"]) == (b"3", b"42")
    assert headers[LEFT_OUT_HEADER] == b"value"


@pytest.mark.parametrize(
    "huge",
    [
        record(b"{}", key=LARGE),
        record(None, headers=[("a", LARGE)]),
        record(b"{}", headers=[("a" * 2_100_000, None)]),
        record(b"{}", headers=[("", b"")] * 200_000),
    ],
    ids=["key", "header", "name", "number of headers"],
)
async def test_a_letter_that_is_too_large_without_its_value_says_only_where_the_record_is(
    huge: Record,
) -> None:
    """Nothing else of a record has a bound either."""
    letter = await letter_of(huge)

    assert (letter.key, letter.value) == (None, None)
    assert [name for name, _ in letter.headers] == [*ADDED_HEADERS, LEFT_OUT_HEADER]
    assert dict(letter.headers)[LEFT_OUT_HEADER] == b"key, value, headers"


@pytest.mark.parametrize("value", [LARGE, bytes(RECORD_BYTES_MAX)])
async def test_the_producer_refuses_no_dead_letter_because_of_its_size(value: bytes) -> None:
    """librdkafka itself; it waits for its broker, which is away, instead of calling the record too large."""
    async with Producer(KafkaSettings(kafka="127.0.0.1:1"), timeout_ms=50) as producer:
        letters = DeadLetters(producer, UPLOADS, "", "check", RetrySettings(store_attempts_max=1))

        with pytest.raises(PartitionRevoked):
            await letters.publish([(record(value), POISON)], lambda: False)


async def test_a_replayed_record_that_fails_again_carries_on_its_attempt() -> None:
    """Otherwise it could be replayed for ever."""
    again = await letter_of(record(b"{}", headers=[*HEADERS, ("shutterline_attempt", b"2")]))

    assert dict(again.headers)["shutterline_attempt"] == b"2"
    assert [name for name, _ in again.headers] == [*dict(HEADERS), *ADDED_HEADERS]
