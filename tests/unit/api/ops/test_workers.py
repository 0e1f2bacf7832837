"""Workers, brokers and hottest keys on the page /ops: what is known of them now, and nothing old."""

from typing import Any

import orjson

from streams.core.lag.report import without_data
from tests.scenes.trouble import HOTTEST_KEY
from tests.unit.api.ops.pages import scene, show, world_in_trouble
from tests.worlds.api import World


async def get(world: World, path: str) -> str:
    async with world.client() as client:
        response = await client.get(path)
    assert 200 == response.status_code, response.text
    return response.text


async def table(world: World, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = orjson.loads(await get(world, f"/ops/tables/{name}.json"))
    return rows


async def test_a_dead_worker_is_shown_with_the_age_of_its_last_word_and_nothing_else() -> None:
    """Its figures of then are neither there nor in what each worker reads; it comes first."""
    world = await world_in_trouble()
    text = await get(world, "/ops")
    dead, *others = await table(world, "workers")
    reading = await table(world, "processes")

    assert {
        "worker": "worker-2",
        "state": "SILENT",
        "age_s": 200,
        "partitions": 0,
        "lag_messages": 0,
        "loop_delay_ms": None,
        "restarts": None,
        "started_at": None,
    } == dead
    assert [("worker-1", "OK", 0), ("media-1", "OK", 2)] == [
        (worker["worker"], worker["state"], worker["restarts"]) for worker in others
    ]
    assert '<span class="state silent">SILENT</span>' in text
    assert "worker-2" not in {row["process"] for row in reading}
    assert {61.0} == {row["ms_per_megapixel"] for row in reading if row["group"] == "renditions-full"}


async def test_an_owner_that_says_nothing_is_unknown() -> None:
    """As all are until Cassandra responds to the monitor, or to one of another version."""
    world = await world_in_trouble()
    said = await scene()
    for workers in ({"workers": None}, {}):
        show(world, {name: value for name, value in said.items() if name != "workers"} | workers)
        await world.later(2)
        rows = await table(world, "workers")
        reading = await table(world, "processes")

        assert "What they say of themselves is not known." in await get(world, "/ops")
        assert [("worker-1", None, 31), ("media-1", None, 6)] == [
            (row["worker"], row["state"], row["partitions"]) for row in rows
        ]
        assert {(None, None)} == {(row["p99_ms"], row["in_flight"]) for row in reading}


async def test_without_owners_a_worker_has_no_number_of_partitions() -> None:
    """The brokers did not say who reads; that is not 0."""
    world = await world_in_trouble()
    said = await scene()
    said["lag"] = without_data(said["lag"], "the brokers do not respond")
    show(world, said)
    rows = await table(world, "workers")

    assert {("worker-1", None), ("worker-2", None), ("media-1", None)} == {
        (row["worker"], row["partitions"]) for row in rows
    }


async def test_the_hottest_key_is_beside_the_hottest_partition() -> None:
    """On the page of all, and on that of the partition."""
    world = await world_in_trouble()
    [*keys] = (await scene())["hottest_keys"]
    likes = next(key for key in keys if key["topic"] == "likes")
    shown = f"67 have the key <code>{HOTTEST_KEY}</code>."

    assert f"Of the next 100 records of partition {likes['partition']}, {shown}" in await get(world, "/ops")
    partition = await get(world, f"/ops/groups/check/likes/{likes['partition']}")
    assert f"<code>{HOTTEST_KEY}</code>: 67 of the next 100 records" in partition
    assert "Hottest key" not in await get(world, "/ops/groups/check/uploads/0")


async def test_a_broker_that_does_not_respond_comes_first() -> None:
    world = await world_in_trouble()

    assert [("kafka-3:9092", "AWAY", None), ("kafka-1:9092", "OK", 1.3), ("kafka-2:9092", "OK", 2.1)] == [
        (row["broker"], row["state"], row["response_ms"]) for row in await table(world, "brokers")
    ]


async def test_while_the_monitor_is_away_neither_brokers_nor_keys_are_known() -> None:
    world = await world_in_trouble()
    await get(world, "/ops")
    world.monitor.report = None
    await world.later(2)

    assert [] == await table(world, "brokers")
    assert str(HOTTEST_KEY) not in await get(world, "/ops")
