"""The limits with which the suites run, small enough to be met."""

SLOTS = 5
REBUILDS_PER_S_MAX = 10
SHARDS = 3

# Of `brief_stores`.
BRIEF_TTL_S = 2
BRIEF_RENEW_S = 1
BRIEF_REBUILD_TTL_MS = 700
BRIEF_REMOVED_TTL_S = 1
