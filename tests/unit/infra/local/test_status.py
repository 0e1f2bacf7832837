"""`shutterline status` also says what the lag monitor makes of each lane."""

import json

import pytest
from rich.console import Console

from infra.local import commands
from streams.core.lag.report import LagReport, SwitchLag, without_data
from tests.unit.streams.core.lag.traces import Trace


def shown(monkeypatch: pytest.MonkeyPatch, body: str | None) -> list[str]:
    monkeypatch.setattr(commands, "http_body", lambda address, path: body)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(commands._lanes("127.0.0.1:7"))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_each_lane_has_a_line_with_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unknown is a dash."""
    trace = Trace()
    trace.produce(1_200)
    trace.join()
    trace.looks(4)
    nothing = SwitchLag()
    report = LagReport(sampled_ms=7, groups=[trace.look()], breaker=nothing, shedding=nothing).json()

    assert "check likes STOPPED 1,200 6.0" == shown(monkeypatch, json.dumps(report))[1]
    assert "check likes NO-DATA - -" == shown(monkeypatch, json.dumps(without_data(report, "away")))[1]


def test_a_monitor_without_a_sample_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ["The lag monitor has no sample yet."] == shown(monkeypatch, None)
