"""CloudEvents envelopes in both modes of the Kafka binding, and the headers that a dead letter
adds."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.dead_letter_headers import ADDED_HEADERS, DEAD_LETTER_HEADERS_BYTES_MAX, dead_letter_headers
from schemas.envelope import Envelope, PoisonEvent, Reason, Record, open_envelope, source_of
from schemas.quoting import QUOTED_CHARS_MAX, quoted
from schemas.times import parse_rfc3339_us, rfc3339, utc_datetime

NOON_US = 1_769_860_800_123_456
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "a-1",
    "source": "/upstream",
    "type": "photo.liked.v1",
    "time": "2026-01-31T12:00:00.123456Z",
}
STRUCTURED = (("content-type", b"application/cloudevents+json"),)
DEEP = b"[" * 100_000 + b"]" * 100_000


def record(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]) -> Record:
    return Record("likes", 3, 42, 1_769_860_800_000, b"1", value, headers)


def binary(value: bytes | None = b'{"a":1}', **changes: bytes | None) -> Record:
    """A good binary record; a change of `None` is a null header."""
    texts: dict[str, bytes | None] = {f"ce_{name}": text.encode() for name, text in ATTRIBUTES.items()}
    return record(value, tuple((texts | changes).items()))


def without(name: str) -> Record:
    kept = tuple(header for header in binary().headers if header[0] != name)
    return record(b'{"a":1}', kept)


def structured(**changes: object) -> Record:
    """A good structured record; a change of `...` removes the member."""
    event = {**ATTRIBUTES, "data": {"a": 1}, **changes}
    present = {name: value for name, value in event.items() if value is not ...}
    return record(json.dumps(present).encode(), STRUCTURED)


def refused(poison: Record) -> Reason:
    with pytest.raises(PoisonEvent) as caught:
        open_envelope(poison)
    return caught.value.reason


@pytest.mark.parametrize("good", [binary(), structured()], ids=["binary", "structured"])
def test_both_modes_open_to_the_same_event(good: Record) -> None:
    """The publisher chooses the mode, and the rest of the system does not see the difference."""
    expected = Envelope("a-1", "/upstream", "photo.liked.v1", NOON_US, {"a": 1})

    assert expected == open_envelope(good)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents+json; charset=utf-8",
        b"application/cloudevents+json;charset=UTF-8",
        b"Application/CloudEvents+JSON",
        b" application/cloudevents+json ",
    ],
)
def test_structured_mode_is_known_by_its_media_type_alone(content_type: bytes) -> None:
    """Parameters and case of the content type do not matter."""
    opened = open_envelope(record(structured().value, (("content-type", content_type),)))

    assert opened.data == {"a": 1}


@pytest.mark.parametrize("content_type", [None, b"", b"application/json", b"\xff", b"text/plain;cloudevents"])
def test_any_other_content_type_leaves_a_binary_event_binary(content_type: bytes | None) -> None:
    """In binary mode the content type describes only the data."""
    good = binary()

    assert open_envelope(record(good.value, (*good.headers, ("content-type", content_type)))).id == "a-1"


@pytest.mark.parametrize(
    "poison",
    [
        record(b"{}", ()),
        without("ce_specversion"),
        binary(ce_specversion=b"0.3"),
        binary(ce_specversion=b"1.0 "),
        binary(ce_specversion=b""),
        binary(ce_specversion=None),
        binary(ce_specversion=b"\xff"),
        structured(specversion=...),
        structured(specversion="2.0"),
        structured(specversion=1.0),
        record(structured().value, (("content-type", b"application/cloudevents+avro"),)),
        record(structured().value, (("content-type", b"application/cloudevents-batch+json"),)),
        record(b"{}", (("Ce_Specversion", b"1.0"),)),
        binary(**{"content-type": b"application/cloudevents+avro"}),
    ],
)
def test_what_is_in_neither_mode_of_version_1_0_is_no_cloudevent(poison: Record) -> None:
    """The reason is `not_cloudevent`, and no other attribute is checked."""
    assert refused(poison) is Reason.NOT_CLOUDEVENT


@pytest.mark.parametrize("name", ["id", "source", "type", "time"])
@pytest.mark.parametrize("bad", [None, b"", b"\xff\xfe"])
def test_a_binary_attribute_that_is_null_empty_or_not_utf8_counts_as_missing(
    name: str, bad: bytes | None
) -> None:
    """The reason is the same as for an attribute that is absent."""
    assert refused(binary(**{f"ce_{name}": bad})) is Reason.MISSING_ATTRIBUTE
    assert refused(without(f"ce_{name}")) is Reason.MISSING_ATTRIBUTE


@pytest.mark.parametrize("name", ["id", "source", "type", "time"])
@pytest.mark.parametrize("bad", [..., None, "", 7, ["x"], {}])
def test_a_structured_attribute_that_is_no_text_counts_as_missing(name: str, bad: object) -> None:
    """The attribute may be absent, null, empty, or any other JSON value."""
    assert refused(structured(**{name: bad})) is Reason.MISSING_ATTRIBUTE


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b" ", b"nonsense", b"null", b"[]", b'"text"', b"7", b"NaN", b'{"a":NaN}', b'{"a":1',
        b'{"a":"\xff"}', b'\xef\xbb\xbf{"a":1}', b'{"a":1}{"a":1}', DEEP, b'{"a":' + DEEP + b"}", b"\x00",
    ],
    ids=lambda value: repr(value)[:24],
)  # fmt: skip
def test_a_value_that_is_no_json_object_is_not_json(value: bytes | None) -> None:
    """In binary mode the value is the data, in structured mode the whole event. Both must be JSON
    objects."""
    assert refused(binary(value)) is Reason.NOT_JSON
    assert refused(record(value, STRUCTURED)) is Reason.NOT_JSON


@pytest.mark.parametrize("data", [..., None, [], "{}", 7])
def test_structured_data_that_is_no_object_is_not_json(data: object) -> None:
    """A text that contains JSON is a text, not an object."""
    assert refused(structured(data=data)) is Reason.NOT_JSON


def test_structured_data_may_be_in_base64() -> None:
    """The CloudEvents JSON format allows `data_base64` for any data, so it is decoded and parsed as
    JSON."""
    encoded = base64.b64encode(b'{"a":1}').decode()

    assert open_envelope(structured(data=..., data_base64=encoded)).data == {"a": 1}


@pytest.mark.parametrize("encoded", ["?", "e30", "e 3?0=", "é", "", 7, base64.b64encode(b"[]").decode()])
def test_base64_of_anything_but_an_object_is_not_json(encoded: object) -> None:
    """This includes malformed Base64."""
    assert refused(structured(data=..., data_base64=encoded)) is Reason.NOT_JSON


def test_data_in_both_forms_is_not_json() -> None:
    """The decoder does not guess which of the two is meant."""
    assert refused(structured(data_base64="e30=")) is Reason.NOT_JSON


def test_of_a_repeated_header_the_last_counts() -> None:
    """Kafka allows several headers of the same name."""
    good = binary()

    opened = open_envelope(record(good.value, (("ce_id", b"first"), *good.headers, ("ce_id", b"last"))))

    assert opened.id == "last"


def test_of_a_repeated_json_key_the_last_counts() -> None:
    """The contract says so."""
    assert open_envelope(binary(b'{"a":1,"a":2}')).data == {"a": 2}


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-31T12:00:00.123456Z", NOON_US),
        ("2026-01-31t12:00:00.123456z", NOON_US),
        ("2026-01-31T13:30:00.123456+01:30", NOON_US),
        ("2026-01-31T04:00:00.123456-08:00", NOON_US),
        ("2026-01-31T12:00:00.1234569999Z", NOON_US),
        ("2026-01-31T12:00:00.1Z", NOON_US - 23_456),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_a_time_is_read_to_the_microsecond(text: str, time_us: int) -> None:
    """Any offset and any number of digits are accepted. A leap second is the first instant after
    it."""
    assert open_envelope(binary(ce_time=text.encode())).time_us == time_us


@pytest.mark.parametrize(
    "text",
    [
        "now",
        "1769860800",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "20260131T120000Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00Z ",
        "2026-01-31T12:00:00Z\n",
        "2026-W05-6T12:00:00Z",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "٢٠٢٦-01-31T12:00:00Z",
    ],
)  # fmt: skip
def test_a_time_that_is_malformed_or_out_of_range_counts_as_missing(text: str) -> None:
    """This includes the zero times of other languages, and instants that are out of range only
    because of their offset."""
    assert refused(binary(ce_time=text.encode())) is Reason.MISSING_ATTRIBUTE
    assert refused(structured(time=text)) is Reason.MISSING_ATTRIBUTE


@given(st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001 - hypothesis wants bounds without a zone.
def test_every_instant_written_is_read_as_itself(moment: datetime, offset_min: int) -> None:
    """This holds for any offset, and for the format that we write."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))

    time_us = parse_rfc3339_us(aware.isoformat())

    assert utc_datetime(time_us) == aware
    assert parse_rfc3339_us(rfc3339(aware)) == time_us


header_values = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.sampled_from([b"1.0", b"2026-01-31T12:00:00Z", b"photo.liked.v1", b"application/cloudevents+json"]),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
header_names = st.sampled_from([*(f"ce_{name}" for name in ATTRIBUTES), "content-type", "other"])
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)


def only_poison(fuzzed: Record) -> None:
    """Check that the record decodes, or is refused with a reason of the envelope and a short,
    printable sentence."""
    try:
        open_envelope(fuzzed)
    except PoisonEvent as caught:
        poison = caught
    else:
        return

    assert poison.reason in (Reason.NOT_CLOUDEVENT, Reason.MISSING_ATTRIBUTE, Reason.NOT_JSON)
    assert len(poison.error.encode()) < 2_000


@given(st.lists(st.tuples(header_names, header_values), max_size=8), st.one_of(st.none(), st.binary()))
@example([("content-type", b"application/cloudevents+json")], b"[" * 1_024 + b"]" * 1_024)
@example([("ce_specversion", b"1.0")], None)
def test_whatever_the_bytes_only_poison_leaves(
    headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    """No exception of a parser, of date arithmetic or of recursion is raised to the caller."""
    only_poison(record(value, tuple(headers)))


@given(
    st.dictionaries(
        st.sampled_from([*ATTRIBUTES, "data", "data_base64"]), st.one_of(st.just(...), st.text(), json_values)
    )
)
def test_whatever_the_json_only_poison_leaves(members: Mapping[str, object]) -> None:
    """The structured events have members of every kind of value; at least one is wrong."""
    only_poison(structured(**members))


def test_attributes_nested_as_deep_as_json_allows_are_refused_like_others() -> None:
    """The error text is built without recursion into the value."""
    nested = b"[" * 1_000 + b"]" * 1_000

    assert refused(record(b'{"specversion":' + nested + b"}", STRUCTURED)) is Reason.NOT_CLOUDEVENT


def test_the_error_names_the_value_and_the_rule() -> None:
    """An operator can understand the dead letter without reading the record."""
    with pytest.raises(PoisonEvent) as caught:
        open_envelope(binary(ce_time=b"yesterday"))

    assert caught.value.error.startswith(
        "ce_time is 'yesterday', but must be an RFC 3339 time with an offset"
    )
    assert str(caught.value).startswith("missing_attribute: ce_time")


@given(st.one_of(st.text(), st.binary(), json_values))
@example("\ud800" * 1_000)
@example(b"\xff" * 1_000_000)
def test_a_quoted_value_is_short_and_can_be_written(value: object) -> None:
    """This includes lone surrogates and values of a megabyte."""
    assert len(quoted(value)) <= QUOTED_CHARS_MAX
    quoted(value).encode()


FAILED_AT = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1)))


def dead(letter: Record, error: str = "'x' must be y") -> list[tuple[str, bytes | None]]:
    return dead_letter_headers(
        letter, reason=Reason.NOT_JSON, error=error, group="likes-check", failed_at=FAILED_AT
    )


own_names = st.text(st.characters(exclude_characters="\0")).filter(lambda name: name not in ADDED_HEADERS)


@given(st.lists(st.tuples(own_names, st.one_of(st.none(), st.binary()))))
def test_a_dead_letter_keeps_every_header_and_adds_its_own_after_them(
    headers: list[tuple[str, bytes | None]],
) -> None:
    """The original headers stay in order and byte for byte, including repeated and null headers."""
    letter = dead(record(None, tuple(headers)))

    assert letter[: len(headers)] == headers
    assert tuple(name for name, _ in letter[len(headers) :]) == ADDED_HEADERS


def test_headers_that_a_publisher_forged_are_not_on_the_dead_letter() -> None:
    """Each added header exists once, with the value of this system."""
    forged = (
        ("shutterline_reason", b"none"),
        ("shutterline_offset", None),
        ("shutterline_own", b"x"),
        ("shutterline_left_out", b"value"),
    )

    letter = dead(record(None, forged))

    assert letter[0] == ("shutterline_own", b"x")
    assert tuple(name for name, _ in letter[1:]) == ADDED_HEADERS
    assert dict(letter)["shutterline_reason"] == b"not_json"


def test_a_name_with_a_nul_forges_no_header() -> None:
    """A client in C would end the name at the NUL, and the letter would have two reasons."""
    letter = dead(record(None, (("shutterline_reason\0", b"none"), ("a\0b", b"x"))))

    assert letter[:2] == [("shutterline_reason\\x00", b"none"), ("a\\x00b", b"x")]


def test_a_dead_letter_says_where_it_was_and_what_happened() -> None:
    """It has the nine headers of the contract."""
    expected = {
        "shutterline_reason": b"not_json",
        "shutterline_error": b"'x' must be y",
        "shutterline_topic": b"likes",
        "shutterline_partition": b"3",
        "shutterline_offset": b"42",
        "shutterline_timestamp": b"1769860800000",
        "shutterline_group": b"likes-check",
        "shutterline_attempt": b"1",
        "shutterline_failed_at": b"2026-01-31T12:00:00.000000Z",
    }

    assert expected == dict(dead(record(None, ())))


def test_the_added_headers_fit_what_the_topic_has_room_for() -> None:
    """The test uses the longest values: names of 249 characters and an error that quotes several
    values."""
    longest = Record("t" * 249, 2**31, 2**63, 2**63, None, None, ())

    added = dead(longest, error="\U0001f4f7" * 3 * QUOTED_CHARS_MAX)

    assert 2 * sum(len(name) + len(value or b"") for name, value in added) < DEAD_LETTER_HEADERS_BYTES_MAX


def test_a_failure_without_an_offset_is_refused() -> None:
    """Otherwise a local time would be written as if it were UTC."""
    with pytest.raises(ValueError, match="aware"):
        rfc3339(datetime(2026, 1, 31))  # noqa: DTZ001 - a naive time is the case.
    assert rfc3339(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("headers", "value", "source"),
    [
        ([("ce_source", b"/app")], b"not json", "/app"),
        ([("ce_specversion", b"0.3"), ("ce_source", b"/app")], None, "/app"),
        ([], b"{}", None),
        ([("ce_source", b"")], b"{}", None),
        ([("ce_source", None)], b"{}", None),
        ([("ce_source", b"\xff")], b"{}", None),
        ([("content-type", b"Application/CloudEvents+JSON; charset=utf-8")], b'{"source": "/app"}', "/app"),
        ([("content-type", b"application/cloudevents+json"), ("ce_source", b"/x")], b'{"source": 7}', None),
        ([("content-type", b"application/cloudevents+json")], b"[]", None),
        ([("content-type", b"application/cloudevents+json")], None, None),
        ([("content-type", b"application/cloudevents+json")], b"\xff", None),
    ],
)
def test_the_source_is_read_although_the_record_is_bad(
    headers: list[tuple[str, bytes | None]], value: bytes | None, source: str | None
) -> None:
    """In both modes, and whatever else is wrong. A source that cannot be read is none."""
    assert source_of(Record("likes", 0, 0, 0, b"1", value, tuple(headers))) == source
