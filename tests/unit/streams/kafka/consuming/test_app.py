"""A Faust app is made for one group, and several fit into one process."""

from pathlib import Path

import pytest

from api.reading.delivery_poller import AGE_S_MAX
from streams.kafka.consuming.app import assigned_partitions, is_balanced, make_app
from streams.settings import ConsumerSettings


def settings(run_dir: Path) -> ConsumerSettings:
    return ConsumerSettings(kafka="a:1,b:2", run_dir=run_dir, process="w", commit_interval_ms=300)


async def test_an_app_is_a_consumer_of_the_group(tmp_path: Path) -> None:
    """The app has all brokers, our commit interval, and a buffer of as many fetches as records may wait."""
    app = make_app(
        settings(tmp_path), "t.check", {"t.likes": range(3)}, poll_records_max=3, buffer_records_max=15
    )

    assert "t.check" == app.conf.id
    assert ["kafka://a:1", "kafka://b:2"] == [str(url) for url in app.conf.broker]
    assert (3, 5) == (app.conf.broker_max_poll_records, app.conf.stream_buffer_maxsize)
    assert 0.3 == app.conf.broker_commit_interval
    assert (tmp_path / "faust-w").is_dir()


async def test_a_former_leader_is_not_asked_for_longer_than_a_page_may_wait(tmp_path: Path) -> None:
    """aiokafka goes on asking it where a partition begins, until it looks for all leaders again."""
    app = make_app(settings(tmp_path), "g", {"t": range(3)}, poll_records_max=3, buffer_records_max=15)

    assert app.conf.consumer_metadata_max_age_ms < AGE_S_MAX * 1_000


async def test_several_apps_fit_into_one_process(tmp_path: Path) -> None:
    """Each lane has its own group and its own agents."""
    apps = [
        make_app(settings(tmp_path), group, {"t": range(3)}, poll_records_max=3, buffer_records_max=15)
        for group in ("normal", "bulk")
    ]

    assert ["normal", "bulk"] == [app.conf.id for app in apps]
    assert apps[0].agents is not apps[1].agents


async def test_an_app_that_has_not_joined_its_group_owns_nothing(tmp_path: Path) -> None:
    """The app is not ready, and the watchdog watches none of its partitions."""
    app = make_app(settings(tmp_path), "g", {"t": range(3)}, poll_records_max=3, buffer_records_max=15)

    assert not is_balanced(app)
    assert set() == assigned_partitions(app)


class _NoPartitions:
    """A consumer that has not joined its group."""

    def assignment(self) -> set[tuple[str, int]]:
        return set()

    def pause_partitions(self, partitions: set[tuple[str, int]]) -> None:
        assert partitions == set()


async def test_an_app_subscribes_without_a_wait_for_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing here has tables, and each second of a start is one in which its partitions wait."""
    app = make_app(settings(tmp_path), "g", {"t": range(3)}, poll_records_max=3, buffer_records_max=15)
    app.consumer = _NoPartitions()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(app.tables, "sleep", sleep)
    await app.tables.on_start()
    await app.tables.wait_until_tables_registered()
    await app.tables.recovery.stop()

    assert waits == []
