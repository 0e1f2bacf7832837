"""Prometheus and Alertmanager of the local stack: how they are started, and what is said without them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from infra.local import commands
from infra.local.errors import StackError
from infra.local.monitoring import alertmanager, programs, prometheus
from infra.local.monitoring.alertmanager import AlertmanagerServer
from infra.local.monitoring.prometheus import PrometheusServer
from infra.local.paths import Home, private_folder
from infra.local.stack import Stack
from shutterline.app import app


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path)
    stack.choose_ports()
    return stack


def installed(*names: str) -> Callable[[str], str | None]:
    return lambda name: f"/usr/bin/{name}" if name in names else None


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ((), "no prometheus in PATH"),
        (("prometheus",), "no prometheus-alertmanager and no alertmanager in PATH"),
        (("alertmanager",), "no prometheus in PATH"),
    ],
)
def test_where_a_program_is_missing_nothing_is_started(
    there: tuple[str, ...], missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names it and how to install it."""
    monkeypatch.setattr(shutil, "which", installed(*there))

    with pytest.raises(StackError, match=missing) as error:
        commands.up(Home(tmp_path), Console(), nodes=None, servers_only=True, with_monitoring=True)

    assert str(error.value).endswith(": apt-get install prometheus prometheus-alertmanager")
    assert "\n" not in str(error.value)
    assert [] == list(tmp_path.iterdir())


def test_either_name_of_alertmanager_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian has named its program after the package."""
    monkeypatch.setattr(shutil, "which", installed("prometheus", "alertmanager"))

    programs.require_programs()

    assert "/usr/bin/alertmanager" == programs.program(programs.ALERTMANAGER_NAMES)


def test_nothing_else_can_be_added() -> None:
    result = CliRunner().invoke(app, ["up", "--with", "grafana"])

    assert 2 == result.exit_code
    assert "monitoring" in result.output


def test_both_listen_on_the_loopback_alone(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their pages ask for no login. Alertmanager's cluster would listen on every address."""
    monkeypatch.setattr(shutil, "which", installed("prometheus", "prometheus-alertmanager"))
    servers = [stack._new_server(kind, kind.kind) for kind in (AlertmanagerServer, PrometheusServer)]
    commands = [server.command() for server in servers]

    for server, command in zip(servers, commands, strict=True):
        assert f"--web.listen-address=127.0.0.1:{stack.port(server.name)}" in command
    assert "--cluster.listen-address=" in commands[0]


def test_prometheus_reads_the_rules_and_the_addresses_of_the_stack(stack: Stack) -> None:
    server = PrometheusServer(stack.home, stack.home.root, stack._ports, dies_with_parent=True)
    private_folder(stack.home.conf / "prometheus")

    server.configure()

    text = (stack.home.conf / "prometheus" / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    [job] = config["scrape_configs"]
    assert [f"{prometheus.RULES}/*.yml"] == config["rule_files"]
    assert [f"{stack.home.run}/*.target.json"] == job["file_sd_configs"][0]["files"]
    assert f"127.0.0.1:{stack.port('alertmanager')}" in text
    assert sorted(prometheus.RULES.glob("*.yml"))
    assert alertmanager.CONFIG.is_file()
