"""Limits for the suites, small enough for a test to reach them."""

SLOTS = 24
REBUILDS_PER_S_MAX = 10
SHARDS = 3
FOLLOWING_ROWS_A_CALL = 3

# For `brief_stores`.
BRIEF_TTL_S = 2
BRIEF_RENEW_S = 1
BRIEF_REBUILD_TTL_MS = 700
BRIEF_REMOVED_TTL_S = 1
BRIEF_REMOVAL_MARK_TTL_S = 1
