"""Dead letters over HTTP: counted first, then done once, by an operator whose name is in the record."""

import asyncio
import re
from collections.abc import Mapping

import httpx
import pytest

from bench.traffic.waiting import eventually
from schemas.envelope import Reason
from streams.errors import StoreUnavailable
from streams.jobs.dead_letters.counted import COUNTED_S_MAX
from tests.unit.api.ops.pages import world_in_trouble
from tests.unit.streams.jobs.dead_letters.letters import MemoryLog, letter
from tests.worlds.api import World, another_process
from topics.catalogue import FOLLOWS, Topic

PATH = "/ops/dead-letters"
LIKES_FORM = {"action": "replay", "topic": "likes", "reason": ""}


async def world_with_letters(**settings: object) -> World:
    """Three of likes and one of follows; the clock is a minute later than the last failure."""
    world = await world_in_trouble(**settings)
    failed_ms = world.clock.ms - 60_000
    world.letters.letters += [
        *(letter(offset, failed_ms=failed_ms) for offset in range(3)),
        letter(0, topic=FOLLOWS, reason=Reason.SELF_FOLLOW, failed_ms=failed_ms),
    ]
    return world


def operator(world: World, **headers: str) -> httpx.AsyncClient:
    client = world.client(7, roles=["ops"])
    client.headers.update(headers)
    return client


def form_of(page: str) -> dict[str, str]:
    """The hidden fields of the form that confirms."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


async def test_what_was_counted_is_done_and_what_came_later_is_left() -> None:
    """Whatever its time, which is from another clock. The record has the operator's name, and what was
    selected."""
    world = await world_with_letters(dead_letter_replays_per_s=1_000_000)
    async with operator(world) as client:
        counted = await client.post(PATH, data=LIKES_FORM)
        assert "3 of likes with not_json would be replayed" in counted.text
        assert "self_follow would" not in counted.text
        assert ([], []) == (world.replays.published, world.operations.records)
        world.letters.letters.append(letter(3, failed_ms=world.clock.ms - 3_600_000))
        done = await client.post(PATH, data=form_of(counted.text))
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert (303, PATH) == (done.status_code, done.headers["location"])
    assert [0, 1, 2] == world.replays.offsets
    started, _ = world.operations.records
    assert ("user 7", ["likes"]) == (started["by"], started["selected"]["topics"])
    assert ["likes/0 3"] == started["selected"]["ends"]


async def test_letters_are_discarded_without_being_published() -> None:
    world = await world_with_letters()
    async with operator(world) as client:
        counted = await client.post(PATH, data={**LIKES_FORM, "action": "discard", "reason": "not_json"})
        assert "3 of likes with not_json would be discarded" in counted.text
        await client.post(PATH, data=form_of(counted.text))
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert ([], 3) == (world.replays.published, world.operations.records[1]["counts"]["discarded"])


async def test_a_page_that_is_open_to_all_lets_nobody_change_things() -> None:
    """Nor a token without the role; one in the form is as good as in the header."""
    world = await world_with_letters()
    async with world.client() as nobody, world.client(7) as reader:
        assert 200 == (await nobody.get(PATH)).status_code
        statuses = [
            (await nobody.post(PATH, data=LIKES_FORM)).status_code,
            (await nobody.post(PATH, data={**LIKES_FORM, "token": "x.y.z"})).status_code,
            (await reader.post(PATH, data=LIKES_FORM)).status_code,
            (
                await nobody.post(PATH, data={**LIKES_FORM, "token": world.token(7, roles=["ops"])})
            ).status_code,
        ]

    assert [401, 401, 403, 200] == statuses


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://api.test"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_a_foreign_page_is_refused(headers: dict[str, str]) -> None:
    """A proxy would have added the operator's token to it."""
    world = await world_with_letters()
    async with operator(world, **headers) as client:
        refused = await client.post(PATH, data=LIKES_FORM)

    assert 403 == refused.status_code
    assert "another site" in refused.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://api.test"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://ops.example"},
        {"Origin": "http://api.test"},
    ],
)
async def test_a_form_of_our_own_page_is_taken(headers: dict[str, str]) -> None:
    """Also behind a proxy that passes on another host: the browser has compared the addresses."""
    world = await world_with_letters()
    async with operator(world, **headers) as client:
        assert 200 == (await client.post(PATH, data=LIKES_FORM)).status_code


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"action": "eat"}, "action is 'eat', but must be one of replay, discard"),
        ({"topic": "edges"}, "topic is 'edges', but must be one of uploads, follows, likes"),
        ({"reason": "none"}, "reason is 'none', but must be one of not_cloudevent"),
    ],
)
async def test_bad_fields_change_nothing(fields: Mapping[str, str], rule: str) -> None:
    world = await world_with_letters()
    async with operator(world) as client:
        refused = await client.post(PATH, data={**LIKES_FORM, **fields})

    assert 422 == refused.status_code
    assert rule in refused.json()["detail"]
    assert [] == world.operations.records


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"action=%ff", "application/x-www-form-urlencoded", 422),
        (b"&".join([b"a=1"] * 21), "application/x-www-form-urlencoded", 422),
        ("action=é".encode(), "application/x-www-form-urlencoded", 422),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes, media_type: str, status: int) -> None:
    world = await world_with_letters()
    async with operator(world, **{"Content-Type": media_type}) as client:
        assert status == (await client.post(PATH, content=body)).status_code


async def test_while_a_run_is_under_way_another_one_is_409() -> None:
    """What was counted can be confirmed again afterwards."""
    world = await world_with_letters(dead_letter_replays_per_s=1)
    async with operator(world) as client:
        forms = [form_of((await client.post(PATH, data=LIKES_FORM)).text) for _ in range(2)]
        first, second = [await client.post(PATH, data=form) for form in forms]
        await world.ops.runs.close()
        third = await client.post(PATH, data=forms[1])
    await world.ops.runs.close()

    assert [303, 409, 303] == [response.status_code for response in (first, second, third)]
    assert "Another run is under way" in second.json()["detail"]


async def test_any_process_does_what_one_of_them_has_counted() -> None:
    """What came between is left there, too; confirmed again, nothing is left to do."""
    world = await world_with_letters(dead_letter_replays_per_s=1_000_000)
    other = await another_process(world, dead_letter_replays_per_s=1_000_000, ops_open=True)
    other.clock.ms = world.clock.ms
    other.letters.letters = world.letters.letters
    async with operator(world) as client, operator(other) as elsewhere:
        form = form_of((await client.post(PATH, data=LIKES_FORM)).text)
        world.letters.letters.append(letter(3, failed_ms=world.clock.ms))
        done = await elsewhere.post(PATH, data=form)
        await eventually("the end", lambda: other.operations.states == ["started", "finished"])
        again = await client.post(PATH, data=form)
        await eventually("the end", lambda: world.operations.states == ["started", "finished"])

    assert [303, 303] == [done.status_code, again.status_code]
    assert ([0, 1, 2], []) == (other.replays.offsets, world.replays.published)
    assert 3 == world.operations.records[1]["counts"]["handled_before"]


async def test_while_another_process_does_a_run_none_begins_here() -> None:
    """The other one ends, and the same count can be confirmed."""
    world = await world_with_letters(dead_letter_replays_per_s=1)
    other = await another_process(world, ops_open=True)
    other.clock.ms = world.clock.ms
    other.letters.letters = world.letters.letters
    async with operator(world) as client, operator(other) as elsewhere:
        form = form_of((await client.post(PATH, data=LIKES_FORM)).text)
        await client.post(PATH, data=form)
        refused = await elsewhere.post(PATH, data=form)
        await world.ops.runs.close()
        taken = await elsewhere.post(PATH, data=form)
    await other.ops.runs.close()

    assert [409, 303] == [refused.status_code, taken.status_code]
    assert "Another run is under way" in refused.json()["detail"]


async def test_a_count_that_is_old_or_none_cannot_be_confirmed() -> None:
    world = await world_with_letters()
    async with operator(world) as client:
        old = form_of((await client.post(PATH, data=LIKES_FORM)).text)
        refusals = [await client.post(PATH, data={"count": count}) for count in ("", "x", "e30=", "\u00e9")]
        await world.later(COUNTED_S_MAX)
        refusals.append(await client.post(PATH, data=old))

    assert {409} == {refused.status_code for refused in refusals}
    assert {True} == {"Count again." in refused.json()["detail"] for refused in refusals}
    assert [] == world.operations.records


async def test_without_redis_no_run_begins() -> None:
    """Nobody knows whether another process does one."""
    world = await world_with_letters()
    async with operator(world) as client:
        form = form_of((await client.post(PATH, data=LIKES_FORM)).text)
        world.switches["leases"].down = True
        refused = await client.post(PATH, data=form)

    assert (503, []) == (refused.status_code, world.operations.records)


async def test_one_count_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads all letters, so ten browsers would read them ten times."""
    world = await world_with_letters()
    go, offsets = asyncio.Event(), MemoryLog.offsets

    async def waiting(log: MemoryLog, topic: Topic) -> Mapping[int, range]:
        await go.wait()
        return await offsets(log, topic)

    monkeypatch.setattr(MemoryLog, "offsets", waiting)
    async with operator(world) as client:
        first = asyncio.create_task(client.post(PATH, data=LIKES_FORM))
        await eventually("the first to count", lambda: world.services.ops.one_count._is_counting)
        second = await client.post(PATH, data=LIKES_FORM)
        go.set()
        counted, third = await first, await client.post(PATH, data=LIKES_FORM)

    assert [200, 409, 200] == [response.status_code for response in (counted, second, third)]
    assert "counts dead letters already" in second.json()["detail"]


async def test_more_than_can_be_counted_in_time_is_503_and_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(_log: MemoryLog, _topic: object) -> dict[int, range]:
        await asyncio.Event().wait()
        raise AssertionError

    world = await world_with_letters()
    monkeypatch.setattr(MemoryLog, "offsets", hang)
    settings = world.settings.model_copy(update={"ops_rehearsal_s_max": 0.01})
    object.__setattr__(world.services.ops, "settings", settings)
    async with operator(world) as client:
        late = await client.post(PATH, data=LIKES_FORM)

    assert (503, "1") == (late.status_code, late.headers["retry-after"])
    assert "shutterline dead-letters replay" in late.json()["detail"]


async def test_an_outage_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_log: MemoryLog, _topic: object) -> dict[int, range]:
        raise StoreUnavailable("kafka", "offsets", "down")

    world = await world_with_letters()
    monkeypatch.setattr(MemoryLog, "offsets", away)
    async with operator(world) as client:
        assert 503 == (await client.post(PATH, data=LIKES_FORM)).status_code
