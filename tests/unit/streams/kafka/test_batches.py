"""aiokafka reads every batch that a broker takes, and has one kind of error for those it cannot read."""

from collections.abc import Callable

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from streams.kafka import batches, clients  # noqa: F401 - it makes aiokafka read with these batches.
from tests.worlds.kafka_batches import NAME, PACK, packed_batch, with_wrong_checksum

LOG = TopicPartition("t", 0)
BAD = b"\xff\xed\xa0a"


def read(fetched: bytes, position: int = 0) -> list[ConsumerRecord]:
    """Return the records from `position` on, as the fetcher of any consumer does."""
    batches = fetcher.MemoryRecords(fetched)
    return list(
        fetcher.PartitionRecords(LOG, batches, [], position, None, None, True, fetcher.READ_COMMITTED)
    )


def test_a_record_without_a_time_is_read() -> None:
    """A publisher may leave the time out."""
    assert [record.timestamp for record in read(packed_batch([b"a"], time_ms=-1))] == [-1]


def test_every_consumer_reads_with_these_batches() -> None:
    """The module of the clients sets it."""
    assert fetcher.MemoryRecords is batches.Batches
    assert fetcher.PartitionRecords is batches.RecordsBeforeError


@pytest.mark.parametrize("unpacked_bytes_max", [1_000, batches.UNPACKED_BYTES_MAX])
@pytest.mark.parametrize("codec", PACK)
def test_a_header_whose_name_is_not_utf8_is_read_with_escapes(
    codec: int, unpacked_bytes_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is otherwise unchanged, and so are the batches around it."""
    monkeypatch.setattr(batches, "UNPACKED_BYTES_MAX", unpacked_bytes_max)
    fetched = b"".join(
        (
            packed_batch([b"a", b"b"]),
            packed_batch([b"c", b"d"], begin=2, codec=codec, name=BAD),
            packed_batch([b"e"], begin=4, codec=codec),
        )
    )

    records = read(fetched, position=1)

    assert [(record.offset, record.value) for record in records] == list(
        enumerate((b"b", b"c", b"d", b"e"), 1)
    )
    assert [record.headers[0] for record in records] == [
        (NAME, b"x"),
        ("\\xff\\xed\\xa0a", b"x"),
        ("\\xff\\xed\\xa0a", b"x"),
        (NAME, b"x"),
    ]
    assert {record.headers[1] for record in records} == {("null", None)}
    assert {(record.key, record.timestamp) for record in records} == {(b"7", 1)}


@pytest.mark.parametrize("name", [b"\0\0\0\0", b"ce_\n", "😀".encode()])
def test_any_utf8_is_a_name(name: bytes) -> None:
    """It is not changed."""
    [record] = read(packed_batch([b"a"], name=name))

    assert record.headers[0] == (name.decode(), b"x")


def _trailing(codec: int) -> Callable[[bytes], bytes]:
    return lambda plain: PACK[codec](plain) + b"garbage"


@pytest.mark.parametrize(
    ("codec", "pack"),
    [
        *((codec, lambda plain: b"no packed bytes at all, but many") for codec in PACK if codec),
        *((codec, lambda plain: b"") for codec in PACK if codec),
        *((codec, _trailing(codec)) for codec in PACK if codec),
    ],
)
@pytest.mark.parametrize("unpacked_bytes_max", [1_000, batches.UNPACKED_BYTES_MAX])
def test_a_batch_that_cannot_be_unpacked_is_corrupt(
    codec: int,
    pack: Callable[[bytes], bytes],
    unpacked_bytes_max: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the codec raises. Another error than one of Kafka's ends the consumer of a group."""
    monkeypatch.setattr(batches, "UNPACKED_BYTES_MAX", unpacked_bytes_max)
    with pytest.raises(CorruptRecordException):
        read(packed_batch([b"a"], codec=codec, pack=pack))


@pytest.mark.parametrize("codec", batches._UNPACK_INTO)
def test_memory_bounds_what_a_batch_may_unpack_to(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 1.1 MB that a broker takes can be gigabytes, for which process after process would be killed."""
    monkeypatch.setattr(batches, "UNPACKED_BYTES_MAX", 100_000)
    [record] = read(packed_batch([bytes(99_000)], codec=codec))
    assert record.value == bytes(99_000)

    with pytest.raises(CorruptRecordException):
        read(packed_batch([bytes(101_000)], codec=codec))


def test_an_unknown_codec_is_an_error_of_kafka() -> None:
    """As without these batches."""
    with pytest.raises(UnsupportedCodecError):
        read(packed_batch([b"a"], codec=7, pack=bytes))


def test_a_wrong_checksum_is_found() -> None:
    """As without these batches."""
    with pytest.raises(CorruptRecordException, match="CRC"):
        read(with_wrong_checksum(packed_batch([b"a"])))
