"""`/ops/lag` passes on what the monitor says, and never shows old figures as fresh."""

import asyncio
from copy import deepcopy
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from api.contract.lag_views import LagView
from api.lag_reader import LagReader, NoReport, monitor_read
from streams.core.lag.report import LagReport, SwitchLag
from tests.unit.streams.core.lag.traces import Trace
from tests.worlds.api import make_world


def report() -> dict[str, Any]:
    trace = Trace(partitions=3)
    trace.produce(7)
    trace.look()
    breaker = SwitchLag(is_on=False, measured=12)
    shedding = SwitchLag(is_on=True, since_ms=trace.now_ms, reason="x", measured=3)
    return LagReport(
        sampled_ms=trace.now_ms, groups=[trace.look()], breaker=breaker, shedding=shedding
    ).json()


async def test_the_report_of_the_monitor_is_as_the_contract_says() -> None:
    world = await make_world(ops_open=True)
    world.monitor.report = orjson.dumps(report())
    async with world.client() as client:
        response = await client.get("/ops/lag")

    assert 200 == response.status_code
    assert report() == response.json()
    assert report() == LagView.model_validate(response.json()).model_dump(mode="json")
    assert "no-store" == response.headers["cache-control"]
    topic = response.json()["groups"][0]["topics"][0]
    assert (7, 4.0) == (topic["lag_messages"], topic["lag_seconds"])
    assert {"state": "closed", "since": None, "reason": None, "backlog_deliveries": 12} == response.json()[
        "overload"
    ]["breaker"]


async def test_when_the_monitor_is_away_every_state_is_no_data() -> None:
    """The body still complies with the contract, and says of when the last sample is."""
    world = await make_world(ops_open=True)
    world.monitor.report = orjson.dumps(report())
    async with world.client() as client:
        await client.get("/ops/lag")
        world.monitor.report = None
        await world.later(1.0)
        response = await client.get("/ops/lag")

    away = response.json()
    assert (200, report()["sampled_at"]) == (response.status_code, away["sampled_at"])
    LagView.model_validate(away)
    [group] = away["groups"]
    [topic] = group["topics"]
    rows = [group, topic, *topic["partitions"]]
    no_data = ("NO-DATA", report()["sampled_at"], "the lag monitor does not respond")
    assert {(*no_data, "docs/runbooks/monitor-stale.md")} == {
        (row["state"], row["since"], row["reason"], row["runbook"]) for row in rows
    }
    assert 3 == len(topic["partitions"])
    figures = {
        name: value
        for row in (topic, *topic["partitions"])
        for name, value in row.items()
        if name not in ("state", "since", "reason", "runbook", "topic", "partition", "partitions")
    }
    assert {None} == set(figures.values())
    assert {None} == {value for switch in away["overload"].values() for value in switch.values()}


async def test_without_any_report_it_is_503() -> None:
    world = await make_world(ops_open=True)
    async with world.client() as client:
        response = await client.get("/ops/lag")

    assert (503, "1") == (response.status_code, response.headers["retry-after"])
    assert "the lag monitor does not respond" in response.json()["detail"]


async def test_callers_share_one_read_a_second() -> None:
    """Also if many come at once."""
    world = await make_world(ops_open=True)
    world.monitor.report = orjson.dumps(report())
    async with world.client() as client:
        await asyncio.gather(*(client.get("/ops/lag") for _ in range(20)))
        assert 1 == world.monitor.reads
        await world.later(0.9)
        await client.get("/ops/lag")
        assert 1 == world.monitor.reads
        await world.later(0.2)
        await client.get("/ops/lag")

    assert 2 == world.monitor.reads


async def test_a_monitor_that_hangs_is_not_waited_for() -> None:
    async def hang() -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(NoReport):
        await LagReader(hang, read_s_max=0.01).report()


async def test_what_is_no_report_is_no_answer() -> None:
    """Before its first sample the monitor responds with 503; another program with something else."""

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.add_routes([web.get("/lag", busy)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    read = monitor_read(f"{host}:{port}", "/lag")
    with pytest.raises(ValueError, match="responded with 503"):
        await read()
    await runner.cleanup()

    with pytest.raises(aiohttp.ClientError):
        await read()
    with pytest.raises(NoReport):
        await LagReader(read).report()


async def test_the_page_says_each_verdict_in_a_sentence_the_worst_first() -> None:
    """Readable without scripts; what is stored cannot become HTML."""
    world = await make_world(ops_open=True)
    shown = report()
    well, stopped = shown["groups"][0], deepcopy(shown["groups"][0])
    stopped["group"] = "<b>other"
    stopped["topics"][0] |= {
        "state": "STOPPED",
        "reason": "nobody reads it",
        "runbook": "docs/runbooks/consumer-stopped.md",
    }
    world.monitor.report = orjson.dumps(shown | {"groups": [well, stopped]})
    async with world.client() as client:
        page = await client.get("/ops?refresh=5")

    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "no-store" == page.headers["cache-control"]
    assert page.text.index("nobody reads it") < page.text.index(f"{well['group']} ")
    assert "&lt;b&gt;other" in page.text
    assert "<b>other" not in page.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text
    assert "SHEDDING" in page.text
    assert 'nobody reads it. <a class="runbook" href="/ops/runbooks/consumer-stopped">' in page.text


async def test_the_page_shows_what_its_address_asks_for() -> None:
    """By group, topic or state, in any case of letters."""
    world = await make_world(ops_open=True)
    world.monitor.report = orjson.dumps(report())
    async with world.client() as client:
        found = await client.get("/ops", params={"filter": "OK"})
        none = await client.get("/ops", params={"filter": "<nothing>"})

    assert "Nothing matches" not in found.text
    assert "&lt;nothing&gt;" in none.text
    assert "http-equiv" not in none.text


@pytest.mark.parametrize(
    ("query", "rule"),
    [("refresh=7", "must be one of live, 0, 5, 10, 30"), (f"filter={'x' * 101}", "at most 100")],
)
async def test_what_the_page_cannot_show_is_refused(query: str, rule: str) -> None:
    world = await make_world(ops_open=True)
    world.monitor.report = orjson.dumps(report())
    async with world.client() as client:
        refused = await client.get(f"/ops?{query}")

    assert 422 == refused.status_code
    assert rule in refused.json()["detail"]


async def test_the_page_is_for_the_role_ops() -> None:
    world = await make_world()
    async with (
        world.client() as nobody,
        world.client(7) as reader,
        world.client(7, roles=["ops"]) as operator,
    ):
        statuses = [(await client.get("/ops")).status_code for client in (nobody, reader, operator)]

    assert statuses == [401, 403, 503]
