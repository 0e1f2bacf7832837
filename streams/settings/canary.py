"""The canary: who it is, how often it posts, and when a post of it is late or failed."""

from pathlib import Path
from typing import Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from schemas.ids import ID_MAX, OWN_SHARDS, SHARDS
from streams.settings.requests import ApiSettings

# The canary's authors have the ids after its reader's.
CANARY_AUTHORS = 100
# The alerts say that it fails if it saw no post for 60 s, which a slower canary would often reach.
_INTERVAL_MS_MIN, _INTERVAL_MS_MAX = 1_000, 15_000


class CanarySettings(ApiSettings):
    """An account of the monitor that posts, and one that follows it and reads its feed at `api`."""

    canary_interval_ms: NonNegativeInt = 0  # Between two posts, 1,000 to 15,000; 0 is no canary.
    # Its reader; its 100 authors have the next ids. No other account may have one of these.
    canary_user: int = Field(default=ID_MAX - 807, ge=1, le=ID_MAX - CANARY_AUTHORS)
    # With which it mints the ids of its photos, as an upstream app does; no other app may have it.
    canary_shard: int = Field(default=SHARDS - 1, ge=OWN_SHARDS, lt=SHARDS)
    canary_late_ms: PositiveInt = 5_000  # The objective of freshness.
    canary_wait_s_max: PositiveInt = 30  # A post that nobody has seen then has failed.
    # Holds a token for its reader, and is read for each post. Without it, one is made of `jwt_secret`.
    canary_token_file: Path | None = None

    @model_validator(mode="after")
    def _posts_as_often_as_its_alerts_expect(self) -> Self:
        if self.canary_interval_ms and not _INTERVAL_MS_MIN <= self.canary_interval_ms <= _INTERVAL_MS_MAX:
            raise ValueError(
                f"canary_interval_ms={self.canary_interval_ms} must be 0 or from {_INTERVAL_MS_MIN} to "
                f"{_INTERVAL_MS_MAX}"
            )
        return self
