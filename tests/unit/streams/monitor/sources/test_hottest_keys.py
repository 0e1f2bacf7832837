"""The hottest key of what waits, of the worst partitions alone."""

from typing import Any

import pytest

from streams.core.lag.report import Json
from streams.jobs.records import StoredRecord
from streams.monitor.sources.hottest_keys import PARTITIONS_MAX, HottestKeys, hottest_key
from tests.worlds.api import FakeRecords


def records(*keys: bytes | None, offset: int = 0) -> list[StoredRecord]:
    return [
        StoredRecord(offset=offset + number, timestamp_ms=0, key=key, value=b"", headers=())
        for number, key in enumerate(keys)
    ]


def lane(topic: str, *lags: int | None) -> Json:
    """A group of one topic, whose partitions have been committed up to 50."""
    partitions = [
        {"partition": number, "lag_messages": lag, "committed": 50, "start": 0}
        for number, lag in enumerate(lags)
    ]
    return {"group": f"group of {topic}", "topics": [{"topic": topic, "partitions": partitions}]}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], None),
        ([None, None, None], None),
        ([b"1", b"2", b"3"], None),
        ([b"1", b"2", b"2", None, None, None], ("2", 2)),
        ([b"12345678", b"12345678"], ("12345678", 2)),
        ([(806_154 << 40).to_bytes(8, "big")] * 3, (str(806_154 << 40), 3)),
        ([b"\x1b[31m\xff"] * 2, ("\\x1b[31m\\xff", 2)),
        ([b"k" * 100_000] * 2, ("k" * 40 + "…", 2)),
    ],
)
def test_the_key_that_most_records_have(keys: list[bytes | None], expected: Any) -> None:
    """It comes from outside, so nothing of it commands a terminal or fills a page."""
    assert expected == hottest_key(records(*keys))


async def test_the_worst_partition_of_the_worst_lanes_is_read_from_its_commit() -> None:
    logs = {("likes", 1): [*records(*[b"old"] * 50), *records(b"7", b"7", b"8", offset=50)]}
    keys = HottestKeys(FakeRecords(logs))
    await keys.read({"groups": [lane("likes", 150, 900, 200), lane("uploads", 99)]})

    found = {"group": "group of likes", "topic": "likes", "partition": 1}
    assert [{**found, "key": "7", "records": 2, "of_records": 3}] == keys.json()


async def test_only_so_many_partitions_are_read() -> None:
    """The others have less that waits."""
    logs = {(f"t{number}", 0): records(*[b"7"] * 60) for number in range(9)}
    keys = HottestKeys(FakeRecords(logs))
    await keys.read({"groups": [lane(f"t{number}", 100 + number) for number in range(9)]})

    assert [f"t{9 - number}" for number in range(1, PARTITIONS_MAX + 1)] == [
        row["topic"] for row in keys.json()
    ]


async def test_a_partition_that_cannot_be_read_hides_no_other() -> None:
    """And of nothing that waited before, anything is said."""
    log = FakeRecords({(topic, 0): records(*[b"7"] * 60) for topic in ("likes", "uploads")})
    keys = HottestKeys(log)
    report = {"groups": [lane("likes", 900), lane("uploads", 800)]}
    await keys.read(report)
    assert ["likes", "uploads"] == [row["topic"] for row in keys.json()]
    log.broken = {("likes", 0)}
    await keys.read(report)
    assert ["uploads"] == [row["topic"] for row in keys.json()]
    await keys.read({"groups": [lane("likes", 99), lane("uploads", None)]})

    assert [] == keys.json()


async def test_before_the_first_report_nothing_is_read() -> None:
    keys = HottestKeys(FakeRecords(down=True))
    await keys.read(None)

    assert [] == keys.json()
