"""Exemplars lead from a measured value to the trace that it was measured in, if that is recorded."""

from collections.abc import Iterable
from uuid import uuid4

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_text
from prometheus_client.parser import text_string_to_metric_families as prometheus_text

from api.http.metrics import REQUEST_SECONDS
from api.traced import traced as with_spans
from schemas.envelope import Record
from schemas.ids import PhotoId, UserId
from schemas.internal import FanoutPosts, encode_fanout
from streams.kafka.consuming.agent import Delivered
from streams.metrics import FRESHNESS, RENDITION_WAIT
from streams.telemetry.causes import TRACEPARENT, Cause
from streams.telemetry.exposition import OPENMETRICS, exposition
from streams.telemetry.tracing import exemplar_here, exemplar_of
from tests.unit.streams.kafka.stages.test_fanout_lane import NOW_MS, OTHER_PHOTO, PHOTO, World
from tests.unit.streams.telemetry.spans import PROMETHEUS, traced, traces_of
from tests.worlds.api import make_world

TRACE, OTHER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736", "5" * 32
SPAN = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture(autouse=True)
def _nothing_measured() -> None:
    FRESHNESS.clear()


def test_only_what_is_recorded_has_an_exemplar() -> None:
    """With traces off, whatever a publisher says of its own."""
    assert (None, None) == (exemplar_of(Cause("e1", SAMPLED)), exemplar_here())
    with traced():
        assert {"trace_id": TRACE} == exemplar_of(Cause("e1", SAMPLED))
        assert [None, None] == [exemplar_of(Cause("e1", span)) for span in (None, SAMPLED[:-1] + "0")]
        assert exemplar_here() is None


async def deliver() -> None:
    """Three photos, each with the trace of its event; that of the last one is not recorded."""
    world = World()
    await world.begin()
    photos = tuple((photo, UserId(7), 0, 0) for photo in (PHOTO, OTHER_PHOTO, PhotoId(PHOTO + 2)))
    headers = tuple(
        (TRACEPARENT, f"00-{trace}-{SPAN}-{flags}".encode())
        for trace, flags in ((TRACE, "01"), (OTHER_TRACE, "01"), ("6" * 32, "00"))
    )
    # In different buckets, of which each remembers its last exemplar.
    records = [
        Record("fanout", 0, at, NOW_MS, None, encode_fanout(FanoutPosts(NOW_MS - age_ms, (post,))), (header,))
        for at, (age_ms, post, header) in enumerate(zip((15, 700, 9_000), photos, headers, strict=True))
    ]
    await world.lane(Delivered(records, 1, lambda: True, lambda count: None))


async def test_a_delivery_leads_to_the_trace_of_its_photo() -> None:
    with traced():
        await deliver()

    assert {TRACE, OTHER_TRACE} == traces_of(FRESHNESS)


async def test_a_delivery_leads_nowhere_if_traces_are_off() -> None:
    await deliver()

    assert set() == traces_of(FRESHNESS)


async def test_a_request_leads_to_its_trace() -> None:
    """Not one whose client says that it is not recorded."""
    world, recorded, other = await make_world(), uuid4().hex, uuid4().hex
    with traced():
        transport = httpx.ASGITransport(with_spans(world.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            await client.get("/healthz", headers={"traceparent": f"00-{recorded}-{SPAN}-01"})
            await client.get("/v1/feed", headers={"traceparent": f"00-{other}-{SPAN}-00"})

    assert {recorded} == traces_of(REQUEST_SECONDS) & {recorded, other}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=1.0.0; charset=utf-8"),
        ("*/*", "text/plain; version=1.0.0; charset=utf-8"),
        ("", "text/plain; version=1.0.0; charset=utf-8"),
    ],
)
def test_the_format_is_what_the_scraper_asks_for(accept: str, content_type: str) -> None:
    body, sent_type = exposition(accept)

    assert sent_type.startswith(content_type)
    assert body.endswith(b"# EOF\n") is (OPENMETRICS in accept)


def series(families: Iterable[Metric]) -> set[tuple[object, ...]]:
    return {
        (sample.name, *sample.labels.items())
        for family in families
        for sample in family.samples
        if sample.name.startswith("shutterline_")
    }


def test_both_formats_have_the_same_series() -> None:
    """So no rule depends on who scrapes."""
    RENDITION_WAIT.labels("thumbnail").observe(1)
    plain, openmetrics = (exposition(accept)[0].decode() for accept in ("", OPENMETRICS))

    assert series(prometheus_text(plain))
    assert series(prometheus_text(plain)) == series(openmetrics_text(openmetrics))  # type: ignore[no-untyped-call]
