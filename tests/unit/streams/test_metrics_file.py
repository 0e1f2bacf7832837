"""Where the metrics of a process are, for people and for Prometheus."""

import json
from pathlib import Path

import pytest

from streams.metrics_file import metrics_file, write_address
from streams.settings import ProcessSettings


def test_prometheus_finds_a_process_by_its_name(tmp_path: Path) -> None:
    """The file has the shape of `file_sd_configs`. Both files go when the process ends in order."""
    run_dir = tmp_path / "run"

    with metrics_file(ProcessSettings(run_dir=run_dir, process="worker-1"), "127.0.0.1", 7):
        address = (run_dir / "worker-1.metrics").read_text()
        targets = json.loads((run_dir / "worker-1.target.json").read_text())

    assert "127.0.0.1:7\n" == address
    assert [{"targets": ["127.0.0.1:7"], "labels": {"instance": "worker-1"}}] == targets
    assert [] == list(run_dir.iterdir())


def test_a_process_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Only a kill does: then nobody else says that the process has ended."""
    with (
        pytest.raises(RuntimeError),
        metrics_file(ProcessSettings(run_dir=tmp_path, process="worker-1"), "127.0.0.1", 7),
    ):
        raise RuntimeError

    assert [] == list(tmp_path.iterdir())


def test_an_address_of_ipv6_is_in_brackets(tmp_path: Path) -> None:
    with metrics_file(ProcessSettings(run_dir=tmp_path, process="api"), "::1", 7):
        assert "[::1]:7\n" == (tmp_path / "api.metrics").read_text()
        [target] = json.loads((tmp_path / "api.target.json").read_text())

    assert ["[::1]:7"] == target["targets"]


def test_who_reads_a_file_while_it_is_written_sees_all_of_the_former_one(tmp_path: Path) -> None:
    write_address(tmp_path, "api", "127.0.0.1:7")
    with (tmp_path / "api.target.json").open() as reading:
        write_address(tmp_path, "api", "127.0.0.1:8")
        [target] = json.load(reading)

    assert ["127.0.0.1:7"] == target["targets"]
    assert {"api.metrics", "api.target.json"} == {path.name for path in tmp_path.iterdir()}
