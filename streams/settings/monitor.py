"""The lag monitor: where it listens, how often it looks, and when it calls a partition stopped or stalled.
Also how often workers report to it.
"""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from streams.settings.kafka import KafkaSettings
from streams.settings.part import Part, ProcessSettings
from streams.settings.stores import CassandraSettings


def _is_address(address: str) -> str:
    parts = urlsplit(f"//{address}")
    if not parts.hostname or parts.port is None or parts.netloc != address:
        raise ValueError(f"{address!r} must be HOST:PORT")
    return address


Address = Annotated[str, AfterValidator(_is_address)]


class MonitorAddressSettings(Part):
    """Where the monitor listens, and where the API and the commands read from it: `host:port`."""

    monitor: Address = "127.0.0.1:8010"


class WorkerReportSettings(ProcessSettings):
    """How often a worker says how it is, and when it is silent."""

    worker_report_s: PositiveInt = 5
    worker_silent_s_max: PositiveInt = 15  # Above, a worker is SILENT: dead, hanging, or without Cassandra.
    worker_forgotten_s: PositiveInt = 3_600  # Above, it is not shown any more.

    @model_validator(mode="after")
    def _reports_before_it_is_silent(self) -> Self:
        every, silent, forgotten = self.worker_report_s, self.worker_silent_s_max, self.worker_forgotten_s
        if not every * 2 <= silent < forgotten:
            raise ValueError(
                f"worker_silent_s_max={silent} must be at least twice worker_report_s={every},"
                f" and below worker_forgotten_s={forgotten}"
            )
        return self


class MonitorSettings(MonitorAddressSettings, CassandraSettings, KafkaSettings, WorkerReportSettings):
    """The samples of the monitor, and the verdicts on them."""

    # Verdicts need several samples a minute.
    monitor_interval_ms: int = Field(default=2_000, ge=100, le=5_000)
    monitor_timeout_ms: PositiveInt = 3_000  # Of one call of a store.
    monitor_stale_s_max: PositiveInt = 10  # Older samples are NO-DATA.
    # Records that wait for longer in a partition without an owner: STOPPED. Two samples at least.
    monitor_unowned_ms: PositiveInt = 1_500
    # A commit that does not move for longer while records wait: STALLED. As long as the watchdog of the
    # workers waits (`watchdog_s`); of renditions, as much longer as a decoder may take.
    monitor_still_s: PositiveInt = 60
    # What waited, for the page /ops: 60 columns of 10 s, so of the largest profile, 600 partitions, 36,000
    # numbers.
    monitor_history_s: PositiveInt = 600
    monitor_history_step_s: PositiveInt = 10
    monitor_rebalances_max: PositiveInt = 50  # The newest ones are remembered.
    monitor_operations_max: PositiveInt = 50  # So many records of the topic `operations`.
