"""Format ids, ages and TTLs for people."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from time import time

from schemas.ids import id_ms
from schemas.times import rfc3339, utc_datetime

IDS_SHOWN_MAX = 10
NONE = "none"


def minted(composed: int) -> str:
    """Return an id with the time in it, and its age. Both are meaningless if nobody minted it."""
    unix_ms = id_ms(composed)
    at = rfc3339(utc_datetime(unix_ms * 1_000))[:19].replace("T", " ")
    return f"{composed}  {at}Z, {ago(time() - unix_ms / 1_000)}"


def ago(age_s: float) -> str:
    """An age in its largest unit: `3 s ago`, `2 min ago`, `5 h ago`, `12 d ago`."""
    if age_s < 0:
        return "ahead of the clock"
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= length_s:
            return f"{int(age_s // length_s)} {unit} ago"
    return f"{int(age_s)} s ago"


def time_left(ttl_s: int) -> str:
    """What a TTL of Redis means; below 0 the key does not expire."""
    return f"{timedelta(seconds=ttl_s)} left" if ttl_s >= 0 else "does not expire"


def listed(ids: Iterable[int], total: int) -> str:
    """The first of `total` ids, and how many more there are."""
    first = [str(number) for number in islice(ids, IDS_SHOWN_MAX)]
    more = total - len(first)
    return f"{', '.join(first) or NONE}{f', and {more} more' if more > 0 else ''}"
