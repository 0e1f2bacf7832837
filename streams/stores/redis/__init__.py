"""Redis's client, without what it imports only because it is installed.

redis-py imports the metrics of OpenTelemetry's SDK where there is one, though nobody turned its observability
on. Here the SDK is for traces that are turned on, so redis-py does not find it.
"""

import sys

_SDK_METRICS = "opentelemetry.sdk.metrics"

if _SDK_METRICS not in sys.modules:
    sys.modules[_SDK_METRICS] = None  # type: ignore[assignment]  # An import of it fails, as if it were missing.
    try:
        import redis.observability.providers  # noqa: F401
    finally:
        del sys.modules[_SDK_METRICS]
