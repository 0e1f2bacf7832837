"""Every setting and limit, with its unit; read once, at the entry point.

Each is an environment variable `SHUTTERLINE_` plus its name in capitals. Where a
variable is not set, the file `.local/shutterline.env` that `shutterline up` writes
is read, so commands typed beside a local stack find it by themselves.

This is the door: everybody imports the parts from here.
"""

from streams.settings.canary import CanarySettings
from streams.settings.feed import (
    AuditSettings,
    CacheSettings,
    DeliverySettings,
    EdgeSettings,
    FanoutSettings,
    FeedSettings,
    OverloadSettings,
    PhotoUrlSettings,
    TimelineSettings,
)
from streams.settings.kafka import (
    CheckSettings,
    ConsumerSettings,
    DeadLetterSettings,
    KafkaSettings,
    ReplaySettings,
)
from streams.settings.media import CleaningSettings, OriginalSettings, RenditionSettings, UploadSettings
from streams.settings.monitor import MonitorAddressSettings, MonitorSettings, WorkerReportSettings
from streams.settings.part import (
    BreakerSettings,
    ClockSettings,
    EventSettings,
    LogLevel,
    Namespaced,
    ProcessSettings,
    RetrySettings,
    SizeSettings,
    TimeoutSettings,
)
from streams.settings.process import ApiProcessSettings, Settings, load
from streams.settings.requests import (
    AccessLogSettings,
    ApiSettings,
    ConnectionSettings,
    FollowSettings,
    OpsSettings,
    RateSettings,
    RequestSettings,
    ShareSettings,
    TokenSettings,
)
from streams.settings.stores import (
    CassandraSettings,
    CdnSettings,
    RedisSettings,
    S3Settings,
    StoreSettings,
    WarmSettings,
)

__all__ = [
    "AccessLogSettings",
    "ApiProcessSettings",
    "ApiSettings",
    "AuditSettings",
    "BreakerSettings",
    "CacheSettings",
    "CanarySettings",
    "CassandraSettings",
    "CdnSettings",
    "CheckSettings",
    "CleaningSettings",
    "ClockSettings",
    "ConnectionSettings",
    "ConsumerSettings",
    "DeadLetterSettings",
    "DeliverySettings",
    "EdgeSettings",
    "EventSettings",
    "FanoutSettings",
    "FeedSettings",
    "FollowSettings",
    "KafkaSettings",
    "LogLevel",
    "MonitorAddressSettings",
    "MonitorSettings",
    "Namespaced",
    "OpsSettings",
    "OriginalSettings",
    "OverloadSettings",
    "PhotoUrlSettings",
    "ProcessSettings",
    "RateSettings",
    "RedisSettings",
    "RenditionSettings",
    "ReplaySettings",
    "RequestSettings",
    "RetrySettings",
    "S3Settings",
    "Settings",
    "ShareSettings",
    "SizeSettings",
    "StoreSettings",
    "TimelineSettings",
    "TimeoutSettings",
    "TokenSettings",
    "UploadSettings",
    "WarmSettings",
    "WorkerReportSettings",
    "load",
]
