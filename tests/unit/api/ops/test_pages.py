"""The pages below /ops: complete without a script, with addresses that all lead somewhere."""

import asyncio
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from threading import current_thread, main_thread

import orjson
import pytest

from api.ops.page import PANELS
from api.ops.verdicts import DEAD_LETTER_AGE_S_MAX
from streams.fairness import Requester
from streams.jobs.records import StoredRecord
from tests.unit.api.ops.pages import scene, show, world_in_trouble
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
    assert "same-origin" == response.headers["referrer-policy"]  # Else forms come with `Origin: null`.
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
        "31 dead letters wait, the oldest for 9 d.",
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


async def test_a_filter_hides_lanes_and_nothing_else_that_needs_somebody() -> None:
    """The title is of all lanes. What matches nothing is not OK."""
    world = await world_in_trouble()
    for text in (await get(world, "/ops?filter=fanout"), await get(world, "/ops?filter=nothing")):
        assert "<title>STOPPED check likes " in text
        assert 'data-worst="STOPPED check likes"' in text
        assert "1 lane needs somebody, but is not shown" in text
        assert "the breaker opens" in text
        assert "31 dead letters wait" in text
        assert "Nothing needs you" not in text
    assert "No lane matches “nothing”." in text
    assert "not shown" not in await get(world, "/ops?filter=stopped")


async def test_without_lanes_the_title_is_not_ok() -> None:
    world = await world_in_trouble()
    said = await scene()
    off = {"breaker": said["lag"]["overload"]["breaker"] | {"state": "closed"}}
    said["lag"] |= {"groups": [], "overload": said["lag"]["overload"] | off}
    show(world, said | {"dead_letters": None})
    text = await get(world, "/ops")

    assert "<title>NO-DATA " in text
    assert "There are no lanes." in text
    assert "Nothing needs you" not in text


@pytest.mark.parametrize("name", ["lanes", "dead-letters", "workers", "processes", "rebalances"])
async def test_a_file_has_the_filter_of_the_page(name: str) -> None:
    text = await get(await world_in_trouble(), "/ops?filter=check")

    assert f'href="/ops/tables/{name}.csv?filter=check"' in text
    assert f'href="/ops/tables/{name}.json?filter=check"' in text


def test_the_page_looks_for_dead_letters_of_the_age_of_the_alarm() -> None:
    """As the rule for Prometheus and the runbook have it."""
    root = Path(__file__).parents[4]
    rules = (root / "infra/monitoring/prometheus/rules/data.yml").read_text()

    assert 7 * 86_400 == DEAD_LETTER_AGE_S_MAX
    assert "max by (topic) (shutterline_dead_letters_oldest_age_seconds) > 7 * 86400" in rules
    assert "has waited for a week" in (root / "docs/runbooks/dead-letters-old.md").read_text()


async def test_without_a_refresh_no_stream_is_opened() -> None:
    assert 'data-events=""' in await get(await world_in_trouble(), "/ops?refresh=0")


async def test_the_stream_sends_the_panels_of_the_page() -> None:
    """Each panel, as the page of the same address has it."""
    world = await world_in_trouble(ops_stream_s_max=1, ops_stream_interval_ms=1)
    page = await get(world, "/ops?filter=likes")
    world.services.ops.streams._clock_s = iter([0.0, 0.0, 1.0]).__next__
    stream = await get(world, "/ops/events?filter=likes")
    [data] = re.findall("^event: panels\ndata: (.*)$", stream, re.MULTILINE)

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


async def test_while_the_monitor_is_away_nothing_old_is_shown_as_of_now() -> None:
    """Neither freshness nor dead letters, trends, owners or an open window; the age of the last is there."""
    world = await world_in_trouble()
    await get(world, "/ops")
    world.monitor.report = None
    world.clock.ms += 300_000
    await world.later(2)
    text = await get(world, "/ops")
    lanes = orjson.loads(await get(world, "/ops/tables/lanes.json"))
    windows = orjson.loads(await get(world, "/ops/tables/switch-windows.json"))

    assert 3 == text.count("Not known for 5 min: the lag monitor does not respond.")
    assert {(None, None)} == {(lane["trend"], lane["in_time"]) for lane in lanes}
    for name in ("freshness", "dead-letters", "workers", "processes"):
        assert "[]" == await get(world, f"/ops/tables/{name}.json")
    assert [None, "OFF"] == [window["state"] for window in windows]
    assert ' now"' not in text
    assert "At most 5,760 waited in 10 minutes, not known now, 4,198 at last" in text
    assert "31 dead letters" not in text
    assert "Not known: no lane has data." in text
    assert "reader unknown" in text
    assert "no owner" not in text
    assert "Not known." in await get(world, "/ops/dead-letters")


async def test_the_heat_map_says_of_which_time_its_last_column_is() -> None:
    """Also if the monitor has had no sample since."""
    assert "From 2027-01-15 07:50:10 UTC to 2027-01-15 08:00:00 UTC, 10 s a cell" in await get(
        await world_in_trouble(), "/ops"
    )


async def test_a_partition_that_is_not_hot_has_its_strip_on_its_own_page() -> None:
    """The lane's page shows the 16 hottest, and says so."""
    world = await world_in_trouble()
    said = await scene()
    [lane] = [
        topic for group in said["lag"]["groups"] for topic in group["topics"] if topic["topic"] == "likes"
    ]
    [past] = [lane for lane in said["history"]["lanes"] if lane["topic"] == "likes"]
    lane["partitions"] = [lane["partitions"][0] | {"partition": number} for number in range(20)]
    past["partitions"] = [[100 - number] * 60 for number in range(20)]
    show(world, said)
    shown = await get(world, "/ops/groups/check/likes")

    assert "These are the 16 hottest. 4 with less are in the table." in shown
    assert "Partition 15: at most 85 waited" in shown
    assert "Partition 16: at most" not in shown
    assert "Partition 16: at most 84 waited" in await get(world, "/ops/groups/check/likes/16")


async def test_visitors_of_one_view_share_one_rendering_outside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await world_in_trouble()
    threads = []

    def rendered(*_: object) -> dict[str, str]:
        threads.append(current_thread())
        return dict.fromkeys(PANELS, "shown")

    monkeypatch.setattr("api.ops.routes.panels", rendered)
    await asyncio.gather(*(get(world, "/ops") for _ in range(3)))

    [thread] = threads
    assert thread is not main_thread()


async def test_dead_letters_say_how_old_their_count_is() -> None:
    """The monitor counts on only while Cassandra responds; files have it by row."""
    world = await world_in_trouble()
    said = await scene()
    for source in said["sources"]:
        if source["source"] == "dead letters":
            source["age_s"] = 4_980.0
    show(world, said)
    rows = orjson.loads(await get(world, "/ops/tables/dead-letters.json"))

    assert "Counted 83 min ago." in await get(world, "/ops")
    assert {4_980.0} == {row["counted_age_s"] for row in rows}


async def test_a_lane_whose_newest_column_is_unknown_has_no_trend() -> None:
    """The monitor is live, and the brokers do not respond to it."""
    world = await world_in_trouble()
    said = await scene()
    for lane in said["history"]["lanes"]:
        lane["messages"][-1] = None
    show(world, said)
    lanes = orjson.loads(await get(world, "/ops/tables/lanes.json"))

    assert {(None, None)} == {(lane["trend"], lane["in_time"]) for lane in lanes}


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


async def test_headers_that_are_left_out_are_counted() -> None:
    world = await world_in_trouble()
    record = StoredRecord(
        offset=8_980, timestamp_ms=1, key=None, value=None, headers=[(f"h{at}", b"x") for at in range(1_234)]
    )
    world.records.logs["likes", 1] = [record]
    text = await get(world, STOPPED)

    assert "<dt>More headers</dt><dd>1,184 are left out</dd>" in text
    assert "<dt>h50</dt>" not in text


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


async def test_a_stream_ends_with_its_token() -> None:
    """Without that, somebody whose token has ended or is revoked would see minutes more."""
    world = await world_in_trouble(ops_open=False, ops_stream_interval_ms=1)
    looks = 0

    def clock_s() -> float:
        """The third look is after the first event."""
        nonlocal looks
        looks += 1
        world.clock.ms += 100_000 if looks == 3 else 0
        return 0.0

    world.services.ops.streams._clock_s = clock_s
    async with asyncio.timeout(20):
        stream = await get(world, "/ops/events", roles=["ops"], exp=world.clock.ms // 1_000 + 60)

    assert 1 == stream.count("event: panels")
    assert 0 == world.ops.streams.open_streams


async def test_a_head_of_the_stream_opens_none() -> None:
    """It would be silent, and hold its place for minutes."""
    world = await world_in_trouble(ops_streams_max=1)
    async with world.client() as client:
        world.services.ops.streams._slots.take(Requester(99))
        assert 503 == (await client.get("/ops/events")).status_code
        head = await client.head("/ops/events")

    assert (200, b"") == (head.status_code, head.content)
    assert head.headers["content-type"].startswith("text/event-stream")


async def test_a_stream_that_says_nothing_new_is_not_silent() -> None:
    """A proxy closes connections that are."""
    world = await world_in_trouble(ops_stream_s_max=1, ops_stream_interval_ms=50)

    assert (await get(world, "/ops/events")).count("\nevent: alive\n") > 5
