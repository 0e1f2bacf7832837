"""What an API process and any process is composed of."""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from streams.settings.canary import CanarySettings
from streams.settings.feed import (
    AuditSettings,
    DeliverySettings,
    FanoutSettings,
    FeedSettings,
    OverloadSettings,
    PhotoUrlSettings,
)
from streams.settings.kafka import CheckSettings, ConsumerSettings, KafkaSettings, ReplaySettings
from streams.settings.media import CleaningSettings, RenditionSettings, UploadSettings
from streams.settings.monitor import MonitorAddressSettings, MonitorSettings
from streams.settings.part import (
    ClockSettings,
    EventSettings,
    ProcessSettings,
    RetrySettings,
    TimeoutSettings,
)
from streams.settings.requests import (
    AccessLogSettings,
    ApiSettings,
    ConnectionSettings,
    FollowSettings,
    OpsSettings,
    RateSettings,
    RequestSettings,
    TokenSettings,
)
from streams.settings.stores import StoreSettings, WarmSettings

LOCAL_ENVIRONMENT = Path(".local/shutterline.env")

# The bounds that an API process counts by itself, and that hold for all processes behind its port.
_SHARED_BOUNDS = (
    "requests_in_flight_max",
    "bodies_arriving_max",
    "upload_bodies_in_flight_max",
    "database_reads_in_flight_max",
    "rebuilds_in_flight_max",
    "connections_per_address_max",
)


class ApiProcessSettings(
    ApiSettings,
    MonitorAddressSettings,
    OpsSettings,
    OverloadSettings,
    ReplaySettings,
    ClockSettings,
    TimeoutSettings,
    StoreSettings,
    PhotoUrlSettings,
    TokenSettings,
    RequestSettings,
    ConnectionSettings,
    AccessLogSettings,
    RateSettings,
    FollowSettings,
    FeedSettings,
    UploadSettings,
    EventSettings,
    KafkaSettings,
    ProcessSettings,
):
    """What an API process is composed of."""

    def of_member(self, number: int, count: int) -> Self:
        """Return the settings of process `number` (from 1) of `count` behind one port.

        It has a name of its own and an equal part of each bound, but at least 1. The system deals connections
        out evenly, so together the processes hold about as much as one would.
        """
        bounds = {name: getattr(self, name) for name in _SHARED_BOUNDS}
        parts = {name: max(bound // count, min(bound, 1)) for name, bound in bounds.items()}
        return self.model_copy(update={**parts, "process": f"{self.process}-{number}"})


class Settings(
    ApiProcessSettings,
    ConsumerSettings,
    RetrySettings,
    RenditionSettings,
    CleaningSettings,
    AuditSettings,
    DeliverySettings,
    FanoutSettings,
    CheckSettings,
    WarmSettings,
    MonitorSettings,
    CanarySettings,
):
    """Every setting of a process. `load()` reads them from the environment.

    A function takes the part that it needs, and is given all of it: the type checker sees to it
    that it reads nothing else.
    """

    @model_validator(mode="after")
    def _buffers_hold_polls(self) -> Self:
        # A larger poll fills the buffer of every partition at once and stalls the whole app.
        for lane in ("normal", "bulk", "renditions"):
            poll = getattr(self, f"{lane}_poll_records_max")
            buffer = getattr(self, f"{lane}_buffer_records_max")
            if poll * 5 > buffer:
                raise ValueError(f"{lane}_poll_records_max={poll} must be at most a fifth of {buffer}")
        return self


def load(**overrides: object) -> Settings:
    """Read the settings: overrides, then the environment, then the local stack's file."""
    return Settings(_env_file=LOCAL_ENVIRONMENT if LOCAL_ENVIRONMENT.exists() else None, **overrides)  # type: ignore[arg-type]  # pydantic-settings checks them
