"""Ids, ages and lives as people read them."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from time import time

from schemas.ids import id_ms
from schemas.times import rfc3339, utc_datetime

IDS_SHOWN_MAX = 10
NONE = "none"


def minted(composed: int) -> str:
    """An id and when it was minted; ids that no clock of ours made show that they were not."""
    unix_ms = id_ms(composed)
    at = rfc3339(utc_datetime(unix_ms * 1_000))[:19].replace("T", " ")
    return f"{composed}  {at}Z, {ago(time() - unix_ms / 1_000)}"


def ago(age_s: float) -> str:
    """An age for people: `3 s ago`, `2 min ago`, `5 h ago`, `12 d ago`."""
    if age_s < 0:
        return "ahead of the clock"
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= length_s:
            return f"{int(age_s // length_s)} {unit} ago"
    return f"{int(age_s)} s ago"


def life(ttl_s: int) -> str:
    """What a TTL of Redis means."""
    return f"{timedelta(seconds=ttl_s)} left" if ttl_s >= 0 else "does not end"


def listed(ids: Iterable[int], total: int) -> str:
    """The first of many ids."""
    some = [str(each) for each in islice(ids, IDS_SHOWN_MAX)]
    more = total - len(some)
    return f"{', '.join(some) or NONE}{f', and {more} more' if more > 0 else ''}"
