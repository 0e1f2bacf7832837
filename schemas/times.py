"""RFC 3339 timestamps, to the microsecond, as integers since 1970.

All timestamps from outside go through one parser. Python's own `fromisoformat` would also
accept dates without a time, week dates, and times without an offset.
"""

import re
from datetime import UTC, datetime, timedelta

from schemas.quoting import quoted

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:)([0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)
_RULE = "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00.123456Z"


def parse_rfc3339_us(text: str, name: str = "time") -> int:
    """Parse an RFC 3339 time from 1970 to 9999 to microseconds since 1970 (UTC).

    Raises:
        ValueError: The message has `name`, the text and the rule.
    """
    time_us = (parse_rfc3339(text, name) - _UNIX_EPOCH) // _MICROSECOND
    if time_us < 0:
        raise ValueError(f"{name} is {quoted(text)}, but must not be before 1970")
    return time_us


def parse_rfc3339(text: str, name: str = "time") -> datetime:
    """Parse an RFC 3339 time in the years 1 to 9999 (UTC). Decimals beyond the sixth are cut off.

    As in Unix time, a leap second (`:60`) is the first instant of the next minute.

    Raises:
        ValueError: The message has `name`, the text and the rule.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{name} is {quoted(text)}, but {_RULE}")
    minute, second, fraction, offset = match.groups()
    leap_us = 0
    if second == "60":
        second, leap_us = "59", 1_000_000
    try:
        # RFC 3339 allows "t" and "z", but fromisoformat accepts them only in upper case.
        whole = datetime.fromisoformat(f"{minute}{second}{offset}".upper())
        fraction_us = int(fraction[:6].ljust(6, "0")) if fraction else 0
        # Adding an offset or a leap second may leave the years that a datetime can hold: ValueError
        # or OverflowError.
        return whole.astimezone(UTC) + timedelta(microseconds=fraction_us + leap_us)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} is {quoted(text)}, but {_RULE}: {error}") from None


def utc_datetime(time_us: int) -> datetime:
    """Return the instant as an aware datetime in UTC."""
    return _UNIX_EPOCH + timedelta(microseconds=time_us)


def utc_datetime_of_ms(time_ms: int) -> datetime:
    """Return the instant as an aware datetime in UTC."""
    return _UNIX_EPOCH + timedelta(milliseconds=time_ms)


def as_utc(naive: datetime) -> datetime:
    """Make a datetime without an offset aware, when it is known to be in UTC, as Cassandra's are."""
    return naive.replace(tzinfo=UTC)


def nearest_ms(moment: datetime) -> datetime:
    """Return the nearest whole millisecond.

    Cassandra's driver computes with floats, which are off by a microsecond in years far from 1970.
    """
    return whole_ms(moment + timedelta(microseconds=500))


def whole_ms(moment: datetime) -> datetime:
    """Return the last whole millisecond not after the instant, also before 1970."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def ms_of(moment: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware datetime."""
    return (moment - _UNIX_EPOCH) // timedelta(milliseconds=1)


def rfc3339(moment: datetime) -> str:
    """Format the instant in UTC with six decimals and a `Z`. A datetime without an offset is a ValueError."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no offset, but must be an aware datetime; give it a tzinfo")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
