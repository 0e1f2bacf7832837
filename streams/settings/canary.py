"""The canary: who it is, how often it posts, and when a post of it is late or failed."""

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from schemas.ids import ID_MAX, OWN_SHARDS, SHARDS
from streams.settings.requests import ApiSettings

# The canary's authors have the ids after its reader's.
CANARY_AUTHORS = 100


class CanarySettings(ApiSettings):
    """An account of the monitor that posts, and one that follows it and reads its feed at `api`."""

    canary_interval_ms: NonNegativeInt = 0  # Between two posts, usually 10,000; 0 is no canary.
    # Its reader; its 100 authors have the next ids. No other account may have one of these.
    canary_user: int = Field(default=ID_MAX - 807, ge=1, le=ID_MAX - CANARY_AUTHORS)
    # With which it mints the ids of its photos, as an upstream app does; no other app may have it.
    canary_shard: int = Field(default=SHARDS - 1, ge=OWN_SHARDS, lt=SHARDS)
    canary_late_ms: PositiveInt = 5_000  # The objective of freshness.
    canary_wait_s_max: PositiveInt = 30  # A post that nobody has seen then has failed.
    # Holds a token for its reader, and is read for each post. Without it, one is made of `jwt_secret`.
    canary_token_file: Path | None = None
