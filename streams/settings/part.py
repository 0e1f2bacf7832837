"""What every part of the settings is made of, and the parts that name a process and bound its waits."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, PositiveInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.sizes import Profile


class LogLevel(StrEnum):
    """From which level on a process logs its own lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Part(BaseSettings):
    """Part of the settings: what one purpose needs."""

    model_config = SettingsConfigDict(env_prefix="SHUTTERLINE_", extra="ignore", frozen=True)


class Namespaced(Part):
    """A prefix of topics, groups, Redis keys and the keyspace, so that several systems share a stack."""

    namespace: str = Field(default="", pattern=r"^([a-z][a-z0-9]{0,30}\.)?$")

    @property
    def object_prefix(self) -> str:
        """The prefix of all keys of this system's own objects in the media bucket."""
        return "shutterline" + (f"-{self.namespace.rstrip('.')}" if self.namespace else "") + "/"

    @property
    def keyspace(self) -> str:
        """The Cassandra keyspace of this namespace."""
        return "shutterline" + (f"_{self.namespace.rstrip('.')}" if self.namespace else "")


class SizeSettings(Part):
    """How large the system is. All processes have the same value, and refuse topics of another one."""

    sizes: Profile = Profile.LOCAL  # `local`, `small` or `large`: how many partitions the topics have.


class ProcessSettings(Part):
    """The name of this process, the folder with the port of its metrics, what it logs, and how it ends."""

    process: str = "worker"
    run_dir: Path = Path(".local/run")
    log_level: LogLevel = LogLevel.INFO  # `debug` also logs each follow and like, for a look at a few.
    tracing: bool = False  # Traces by OpenTelemetry; the environment's `OTEL_...` say where to.
    stop_s_max: PositiveInt = 9  # From SIGTERM to the end, whatever the process is doing.


class BreakerSettings(Part):
    """When a store that fails, or one slow key of it, is left alone, and for how long."""

    breaker_failures_max: PositiveInt = 5  # Different keys, if they are at least half of the recent ones.
    breaker_open_ms: PositiveInt = 1_000
    breaker_window_ms: PositiveInt = 10_000  # Older outcomes do not count.
    breaker_key_failures_max: PositiveInt = 3  # In a row, of one key, such as a partition.
    breaker_keys_max: PositiveInt = 10_000  # Failing keys that a process remembers.


class RetrySettings(Part):
    """How an operation is retried while its store is unavailable."""

    store_attempts_max: PositiveInt = 4
    store_wait_s_max: PositiveInt = 1


class TimeoutSettings(Part):
    """How long one operation on a store may take: in a request, in a worker."""

    store_timeout_ms: PositiveInt = 500
    worker_store_timeout_ms: PositiveInt = 10_000


class ClockSettings(Part):
    """By how much this process's clock may differ from those of Redis, Cassandra and Kafka."""

    clock_compare_s: PositiveInt = 60
    clock_ready_difference_ms_max: PositiveInt = 500  # Above, the process is not ready.
    # Above, writes over HTTP are 503, and a worker handles no events of upstream apps.
    clock_write_difference_ms_max: PositiveInt = 5_000

    @model_validator(mode="after")
    def _warns_before_it_refuses(self) -> Self:
        ready, write = self.clock_ready_difference_ms_max, self.clock_write_difference_ms_max
        if ready > write:
            raise ValueError(
                f"clock_ready_difference_ms_max={ready} must not exceed clock_write_difference_ms_max={write}"
            )
        return self


class EventSettings(Namespaced):
    """The `ce_source` of the events that the API publishes."""

    event_source: str = "/shutterline/api"
