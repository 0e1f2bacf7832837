"""The pages below /ops: complete without a script, with addresses that all lead somewhere."""

import re
import time
from html.parser import HTMLParser

import orjson
import pytest

from api.ops.page import PANELS
from streams.fairness import Requester
from streams.jobs.records import StoredRecord
from tests.unit.api.ops.pages import show, world_in_trouble
from tests.worlds.api import World

STOPPED = "/ops/groups/check/likes/1"
PAGES = ["/ops", "/ops/dead-letters", "/ops/groups/check/likes", STOPPED, "/ops/runbooks/consumer-stopped"]


class Page(HTMLParser):
    """The addresses of a page, and every attribute."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {value for name, value in attrs if name in ("href", "src", "action") and value}
        self.ids += [value for name, value in attrs if name == "id" and value]


async def get(world: World, path: str, status: int = 200, **claims: object) -> str:
    async with world.client(7 if claims else None, **claims) as client:
        response = await client.get(path)
    assert (path, status) == (path, response.status_code), response.text
    return response.text


async def test_every_address_of_every_page_leads_somewhere() -> None:
    """Also those of the runbooks, and of the files in CSV and JSON."""
    world = await world_in_trouble()
    seen: dict[str, Page] = {}
    waiting = {"/ops"}
    while waiting:
        path = waiting.pop()
        seen[path] = Page(await get(world, path) if path.startswith("/ops") else "")
        waiting |= {found.split("#")[0] for found in seen[path].addresses} - seen.keys() - {""}
    async with world.client() as client:
        others = {path: (await client.get(path)).status_code for path in seen if not path.startswith("/ops")}

    assert {200} == set(others.values())
    assert {*PAGES, "/ops/tables/lanes.csv", "/ops/runbooks/README"} <= seen.keys()
    for path, page in seen.items():
        inner = {found.split("#")[1] for found in page.addresses if found.startswith("#")}
        assert (path, inner - set(page.ids)) == (path, set())


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_obeys_its_own_policy(path: str) -> None:
    """No style attribute, no handler, no script but files, no id twice."""
    world = await world_in_trouble()
    async with world.client() as client:
        response = await client.get(path)
    page = Page(response.text)

    assert "style-src 'self';" in response.headers["content-security-policy"]
    assert {name for name in page.attributes if name == "style" or name.startswith("on")} == set()
    assert re.search("<script(?! src=)|<style", response.text) is None
    assert len(page.ids) == len(set(page.ids))
    assert "Undefined" not in response.text


async def test_the_verdicts_come_first_and_say_what_and_why_and_what_to_do() -> None:
    """A lane that is stopped, the breaker, old dead letters; then the lanes that are well."""
    text = await get(await world_in_trouble(), "/ops")
    sentences = [
        "partitions 1, 3, 5: nobody reads it, and 2,626 records wait.",
        "the breaker opens: 5,000,412 deliveries wait, so all posts are deferred.",
        "31 dead letters wait, the oldest for 44 h.",
        "4,198 records wait, and the group reads.",
    ]

    places = [text.index(sentence) for sentence in sentences]
    assert sorted(places) == places
    for runbook in ("consumer-stopped", "breaker-open", "dead-letters-old"):
        assert f'href="/ops/runbooks/{runbook}"' in text
    assert "<title>STOPPED check likes " in text


async def test_the_panels_have_every_fact_of_the_monitor() -> None:
    """Trends, the hottest partition and its owner, windows of the breaker, runs, and who left a group."""
    text = await get(await world_in_trouble(), "/ops")

    for fact in (
        "▲</span> grows",
        "partition 5</a>, at most 3,434, without an owner",
        "4,114,040",
        "82.3 %",
        "replayed 12; handled before 0",
        "from_the_future",
        "worker-2",
        "2027-01-14 08:05:00",
    ):
        assert fact in text


async def test_the_filter_holds_for_the_lanes_and_stays_in_the_address() -> None:
    text = await get(await world_in_trouble(), "/ops?filter=stopped&refresh=10")

    assert "check likes" in text
    assert "fanout-bulk" not in text
    assert 'data-events="/ops/events?filter=stopped&amp;refresh=10"' in text
    assert 'href="/ops/tables/lanes.csv?filter=stopped&amp;refresh=10"' in text


async def test_without_a_refresh_no_stream_is_opened() -> None:
    assert 'data-events=""' in await get(await world_in_trouble(), "/ops?refresh=0")


async def test_the_stream_sends_the_panels_of_the_page() -> None:
    """Each panel, as the page of the same address has it."""
    world = await world_in_trouble(ops_stream_s_max=1, ops_stream_interval_ms=1)
    page = await get(world, "/ops?filter=likes")
    world.services.ops.streams._clock_s = iter([0.0, 0.0, 1.0]).__next__
    stream = await get(world, "/ops/events?filter=likes")
    [data] = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]

    sent = orjson.loads(data)
    assert list(PANELS) == list(sent)
    assert all(html in page for html in sent.values())


async def test_while_the_monitor_is_away_every_verdict_is_no_data_and_the_past_is_shown() -> None:
    world = await world_in_trouble()
    await get(world, "/ops")
    world.monitor.report = None
    await world.later(2)
    text = await get(world, "/ops")

    assert 8 == text.count('<li class="verdict no-data">')
    assert "the lag monitor does not respond." in text
    assert "at most 3,434" in text


async def test_a_store_that_is_away_is_a_verdict_and_delays_nothing() -> None:
    """The page does not wait for a probe: it has the result of the one before."""
    world = await world_in_trouble()
    world.fail("redis")
    await get(world, "/ops")
    await world.services.health.readiness.missing()
    world.clock.ms += 1_000
    text = await get(world, "/ops")

    assert "not ready for this API process." in text


async def test_names_from_outside_cannot_become_html() -> None:
    world = await world_in_trouble()
    assert world.monitor.overview is not None
    said = orjson.loads(orjson.dumps(world.monitor.overview).replace(b'"worker-1"', b'"<b>w\\u001b"'))
    show(world, said)

    for path in ("/ops", "/ops/groups/check/likes"):
        text = await get(world, path)
        assert "&lt;b&gt;w" in text
        assert "<b>w" not in text
    assert "\x1b" not in await get(world, "/ops")


@pytest.mark.parametrize(
    "path",
    [
        "/ops/groups/check/nothing",
        "/ops/groups/check/likes/6",
        "/ops/groups/check/likes/x",
        "/ops/runbooks/..%2F..%2FREADME",
        "/ops/runbooks/nothing",
        "/ops/tables/lanes.xml",
        "/ops/tables/nothing.csv",
        "/ops/tables/partitions.csv?group=check&topic=nothing",
    ],
)
async def test_what_is_not_there_is_404(path: str) -> None:
    await get(await world_in_trouble(), path, 404)


@pytest.mark.parametrize("path", [*PAGES, "/ops/events", "/ops/tables/lanes.json"])
async def test_every_page_is_for_the_role_ops(path: str) -> None:
    world = await world_in_trouble(ops_open=False)
    async with world.client() as nobody, world.client(7) as reader:
        assert [401, 403] == [(await client.get(path)).status_code for client in (nobody, reader)]


def put_record(world: World, value: bytes = b'{"user_id": "5"}') -> None:
    record = StoredRecord(
        offset=8_980,
        timestamp_ms=1,
        key=b"77\x1b",
        value=value,
        headers=[("ce_id", b"e<1>"), ("trace", None)],
    )
    world.records.logs["likes", 1] = [record]


async def test_the_record_at_the_commit_is_shown_and_its_value_for_the_role_alone() -> None:
    """Although the pages are open: by the header's token, or by that of the form."""
    world = await world_in_trouble()
    put_record(world)
    anybody, operator = await get(world, STOPPED), await get(world, STOPPED, roles=["ops"])
    async with world.client() as client:
        token = world.token(7, roles=["ops"])
        by_form = (await client.post(STOPPED, data={"token": token})).text
        refused = await client.post(STOPPED, data={"token": world.token(7)})

    for text in (anybody, operator, by_form):
        assert "<code>77\\x1b</code>" in text
        assert "e&lt;1&gt;" in text
    assert "user_id" not in anybody
    assert "user_id" in operator
    assert "user_id" in by_form
    assert 403 == refused.status_code
    assert "user_id" not in refused.text


async def test_a_value_is_shown_up_to_a_bound() -> None:
    world = await world_in_trouble(ops_value_bytes_max=16)
    put_record(world, b"x" * 40)
    text = await get(world, STOPPED, roles=["ops"])

    assert "40 bytes" in text
    assert 16 == len(re.findall(r"\b78\b", text))


async def test_a_record_that_cannot_be_read_leaves_the_figures() -> None:
    world = await world_in_trouble()
    world.records.down = True
    text = await get(world, STOPPED)

    assert "The record could not be read" in text
    assert "2,626" in text


async def test_records_are_read_a_few_at_once() -> None:
    world = await world_in_trouble(ops_records_read_at_once=1)
    world.services.ops.reading.take(Requester(99))
    await get(world, STOPPED, 503)


async def test_a_stream_outlives_the_deadline_of_other_requests_and_ends_by_itself() -> None:
    """Every request has a deadline; that of a stream is later than its own end."""
    world = await world_in_trouble(request_deadline_ms=300, ops_stream_s_max=1, ops_stream_interval_ms=50)
    began_s = time.monotonic()
    stream = await get(world, "/ops/events")

    assert stream.startswith("retry: ")
    assert time.monotonic() - began_s >= 1
    assert 0 == world.ops.streams.open_streams


async def test_a_stream_that_says_nothing_new_is_not_silent() -> None:
    """A proxy closes connections that are."""
    world = await world_in_trouble(ops_stream_s_max=1, ops_stream_interval_ms=50)

    assert (await get(world, "/ops/events")).count("\n:\n") > 5
