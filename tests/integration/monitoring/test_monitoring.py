"""Prometheus and Alertmanager beside a stack: what they watch, and what they say when a process is killed."""

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from bench.traffic.waiting import wait_until
from infra.local.processes.daemon import Daemon
from infra.local.stack import Stack
from tests.unit.infra.monitoring.rules import rules

INSTALLED = shutil.which("prometheus") and (
    shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
)
pytestmark = pytest.mark.skipif(
    not INSTALLED, reason="not installed: apt-get install prometheus prometheus-alertmanager"
)
MONITOR = "monitor"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without its servers: its processes say how they are while they wait for them."""
    made = Stack(tmp_path_factory.mktemp("stack"), dies_with_parent=True)
    made.choose_ports()
    made.start_monitoring()
    yield made
    made.stop()


def start_monitor(stack: Stack) -> Daemon:
    return stack.start_process(MONITOR, [sys.executable, "-m", "shutterline", MONITOR])


def ask(stack: Stack, server: str, path: str) -> Any:
    return httpx.get(f"http://127.0.0.1:{stack.port(server)}{path}").json()


def health(stack: Stack) -> dict[str, str]:
    """Of each target, by its name."""
    targets = ask(stack, "prometheus", "/api/v1/targets")["data"]["activeTargets"]
    return {target["labels"]["instance"]: target["health"] for target in targets}


def alarmed(stack: Stack) -> list[str]:
    """The processes that are down, as the alerts say."""
    alerts = ask(stack, "prometheus", "/api/v1/alerts")["data"]["alerts"]
    return [alert["labels"]["instance"] for alert in alerts if alert["labels"]["alertname"] == "ProcessDown"]


def test_a_killed_process_is_alarmed_until_it_is_back(stack: Stack) -> None:
    """It is found by its own file, which a kill leaves behind. The alert is pending at first."""
    process = start_monitor(stack)
    wait_until("the process is scraped", lambda: health(stack) == {MONITOR: "up"})
    assert [] == alarmed(stack)

    process.kill()
    wait_until("the alert", lambda: alarmed(stack) == [MONITOR])
    start_monitor(stack)
    wait_until("the end of the alert", lambda: alarmed(stack) == [])


def test_every_rule_is_evaluated(stack: Stack) -> None:
    """Without an error, and their alerts reach the Alertmanager of the stack. Groups of longer intervals may
    not have been evaluated yet."""

    def groups() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(stack, "prometheus", "/api/v1/rules")["data"]["groups"]
        return found

    def states() -> set[str]:
        return {rule["health"] for group in groups() if group["interval"] < 60 for rule in group["rules"]}

    wait_until("every rule was evaluated", lambda: "unknown" not in states())
    managers = ask(stack, "prometheus", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]

    assert {"ok"} == states()
    assert len(rules()) == sum(len(group["rules"]) for group in groups())
    assert [f"http://127.0.0.1:{stack.port('alertmanager')}/api/v2/alerts"] == [
        each["url"] for each in managers
    ]


def test_what_follows_from_a_known_cause_is_suppressed(stack: Stack) -> None:
    """A breaker of Redis explains that records wait; the breaker of an edge does not."""

    def suppressed(dependency: str) -> bool:
        cause = {"alertname": "StoreBreakerOpen", "severity": "page", "dependency": dependency}
        effect = {"alertname": "WaitingForStore", "severity": "ticket", "because": dependency}
        alerts = f"http://127.0.0.1:{stack.port('alertmanager')}/api/v2/alerts"
        assert httpx.post(alerts, json=[{"labels": cause}, {"labels": effect}]).is_success
        state = {
            alert["labels"].get("because"): alert["status"]["state"]
            for alert in ask(stack, "alertmanager", "/api/v2/alerts")
        }
        return "suppressed" == str(state[dependency])

    assert not suppressed("edge")
    assert suppressed("redis")


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_nobody_else_can_reach_it(stack: Stack, name: str) -> None:
    process = psutil.Process(stack.server(name).pid)
    listening = [each.laddr for each in process.net_connections() if each.status == psutil.CONN_LISTEN]

    assert [("127.0.0.1", stack.port(name))] == [(address.ip, address.port) for address in listening]
