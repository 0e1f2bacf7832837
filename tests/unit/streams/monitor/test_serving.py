"""The monitor over HTTP."""

from pathlib import Path

import httpx

from infra.local import ports
from streams.core.lag.report import Json, LagReport, SwitchLag
from streams.monitor.serving import serve_monitor
from streams.settings import MonitorSettings
from tests.unit.streams.core.lag.traces import Trace


async def test_it_listens_before_it_knows_anything_and_then_serves_its_report(tmp_path: Path) -> None:
    """A liveness probe leaves a monitor alone that waits; one for readiness does not."""
    address = f"127.0.0.1:{ports.unused(())}"
    known: list[Json] = []
    settings = MonitorSettings(monitor=address, run_dir=tmp_path, process="monitor")
    report = LagReport(sampled_ms=7, groups=[Trace().look()], breaker=SwitchLag(), shedding=SwitchLag())
    paths = ("/healthz", "/readyz", "/lag", "/metrics", "/overview")
    async with (
        serve_monitor(
            settings,
            lambda: known[0] if known else None,
            lambda: {"kafka": 0.5},
            lambda: {"lag": known[0]} if known else None,
        ),
        httpx.AsyncClient(base_url=f"http://{address}") as client,
    ):
        assert f"{address}\n" == (tmp_path / "monitor.metrics").read_text()
        before = [await client.get(path) for path in paths]
        assert [200, 503, 503, 200, 503] == [response.status_code for response in before]
        assert "1" == before[2].headers["retry-after"]
        known.append(report.json())
        after = [await client.get(path) for path in paths]

    assert [200, 200, 200, 200, 200] == [response.status_code for response in after]
    assert report.json() == after[2].json()
    assert {"lag": report.json()} == after[4].json()
    assert "shutterline_consumer_lag_messages{" not in before[3].text
    assert 'shutterline_monitor_sample_age_seconds{source="kafka"} 0.5' in before[3].text
    assert "shutterline_consumer_lag_messages{" in after[3].text
