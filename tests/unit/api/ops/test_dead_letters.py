"""Dead letters over HTTP: counted first, then done once, by an operator whose name is in the record."""

import asyncio
import re
from collections.abc import Mapping

import httpx
import pytest

from bench.traffic.waiting import eventually
from schemas.envelope import Reason
from streams.errors import StoreUnavailable
from tests.unit.api.ops.pages import world_in_trouble
from tests.unit.streams.jobs.dead_letters.letters import MemoryLog, letter
from tests.worlds.api import World
from topics.catalogue import FOLLOWS

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


async def test_what_was_counted_is_done_and_what_failed_later_is_left() -> None:
    """The record has the operator's name, and what was selected."""
    world = await world_with_letters(dead_letter_replays_per_s=1_000_000)
    async with operator(world) as client:
        counted = await client.post(PATH, data=LIKES_FORM)
        assert "3 of likes with not_json would be replayed" in counted.text
        assert "self_follow would" not in counted.text
        assert ([], []) == (world.replays.published, world.operations.records)
        world.letters.letters.append(letter(3, failed_ms=world.clock.ms))
        await world.later(1)
        done = await client.post(PATH, data=form_of(counted.text))
    await eventually("the end", lambda: "finished" in world.operations.states)

    assert (303, PATH) == (done.status_code, done.headers["location"])
    assert [0, 1, 2] == world.replays.offsets
    started, _ = world.operations.records
    assert ("user 7", ["likes"]) == (started["by"], started["selected"]["topics"])


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
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.test"}],
)
async def test_a_form_of_a_foreign_page_is_refused(headers: dict[str, str]) -> None:
    """A proxy would have added the operator's token to it."""
    world = await world_with_letters()
    async with operator(world, **headers) as client:
        refused = await client.post(PATH, data=LIKES_FORM)

    assert 403 == refused.status_code
    assert "another site" in refused.json()["detail"]


async def test_a_form_of_our_own_page_is_taken() -> None:
    world = await world_with_letters()
    async with operator(world, **{"Sec-Fetch-Site": "same-origin", "Origin": "http://api.test"}) as client:
        assert 200 == (await client.post(PATH, data=LIKES_FORM)).status_code


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"action": "eat"}, "action is 'eat', but must be one of replay, discard"),
        ({"topic": "edges"}, "topic is 'edges', but must be one of uploads, follows, likes"),
        ({"reason": "none"}, "reason is 'none', but must be one of not_cloudevent"),
        ({"until": "soon"}, "until"),
        ({"until": "2027-01-15T07:49:59Z"}, "must be of the last 600 s: count again"),
        ({"until": "2027-01-15T08:00:01Z"}, "must be of the last 600 s: count again"),
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
    world = await world_with_letters(dead_letter_replays_per_s=1)
    async with operator(world) as client:
        form = form_of((await client.post(PATH, data=LIKES_FORM)).text)
        assert [303, 409] == [(await client.post(PATH, data=form)).status_code for _ in range(2)]
    await world.ops.runs.close()


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
