"""`shutterline lag`: the worst first, one sentence each, then the figures."""

import orjson
import pytest
from typer.testing import CliRunner

from shutterline import app as command_line
from shutterline.commands.operations import lag
from streams.core.lag.report import LagReport, SwitchLag
from tests.unit.streams.core.lag.traces import NOW_MS, Trace


def body() -> bytes:
    well, stopped = Trace(), Trace()
    stopped.produce(1_040)
    stopped.join()
    for trace in (well, stopped):
        trace.look()
        trace.look()
    open_breaker = SwitchLag(is_on=True, since_ms=NOW_MS, reason="the breaker opens: much waits", measured=7)
    return orjson.dumps(
        LagReport(
            sampled_ms=NOW_MS,
            groups=[well.look(), stopped.look()],
            breaker=open_breaker,
            shedding=SwitchLag(),
        ).json()
    )


def test_the_worst_is_first_and_figures_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def respond(address: str, path: str) -> str:
        asked.append(address + path)
        return body().decode()

    monkeypatch.setattr(lag, "http_body", respond)
    shown = CliRunner().invoke(
        command_line.app, ["lag"], env={"COLUMNS": "200", "TERM": "dumb", "SHUTTERLINE_MONITOR": "h:7"}
    )

    assert 0 == shown.exit_code
    assert ["h:7/lag"] == asked
    lines = [line.rstrip() for line in shown.output.splitlines()]
    assert lines[0].startswith(
        "STOPPED        check likes since 2027-01-15T08:00:02Z: partition 0: nobody reads"
    )
    assert lines[0].endswith("and 1,040 records wait (docs/runbooks/consumer-stopped.md)")
    assert "OK             check likes since 2027-01-15T08:00:02Z: nothing waits" == lines[1]
    opened = "breaker        open: the breaker opens: much waits (docs/runbooks/breaker-open.md)"
    assert opened == lines[2]
    assert ["check", "likes", "STOPPED", "1,040", "6.0"] == lines[5].split()[:5]
    assert ["worker-1"] == lines[6].split()[-1:]
    assert "Sampled at 2027-01-15T08:00:00.000000Z" == lines[-1]


def test_without_a_monitor_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "http_body", lambda address, path: None)
    shown = CliRunner().invoke(
        command_line.app, ["lag"], env={"COLUMNS": "300", "SHUTTERLINE_MONITOR": "127.0.0.1:7"}
    )

    assert 1 == shown.exit_code
    assert "No lag monitor with a sample responds at 127.0.0.1:7. Start it with `make up`" in shown.output
