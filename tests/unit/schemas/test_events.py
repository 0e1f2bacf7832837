"""Events of the public contract: which decode, which are refused and why, and what we write."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import PoisonEvent, Reason, Record
from schemas.events import (
    EVENT_KINDS,
    FUTURE_MS_MAX,
    OWN_FUTURE_MS_MAX,
    Event,
    EventType,
    decode_event,
    encode_event,
    encode_structured,
)
from schemas.facts import (
    EventData,
    PhotoDeleted,
    PhotoLiked,
    PhotoUnliked,
    PhotoUploaded,
    Rendition,
    UserFollowed,
    UserUnfollowed,
)
from schemas.ids import EPOCH_MS, ID_MAX, PhotoId, UserId, compose_id, first_id_at
from schemas.times import rfc3339, utc_datetime

NOW_MS = EPOCH_MS + 60_000_000_000
OWN = "/shutterline/api"
PHOTO = PhotoId(compose_id(NOW_MS, 4_096, 0))
PREFIX = "shutterline/"
UPLOAD = {
    "photo_id": str(PHOTO),
    "author_id": "1001",
    "object_key": "originals/a.jpg",
    "content_type": "image/jpeg",
    "created_at": "2026-01-31T12:00:00Z",
}
DATA: Mapping[EventType, dict[str, object]] = {
    EventType.PHOTO_UPLOADED: dict(UPLOAD),
    EventType.PHOTO_DELETED: {"photo_id": str(PHOTO), "author_id": "1001"},
    EventType.USER_FOLLOWED: {"follower_id": "2002", "followee_id": "1001"},
    EventType.USER_UNFOLLOWED: {"follower_id": "2002", "followee_id": "1001"},
    EventType.PHOTO_LIKED: {"photo_id": str(PHOTO), "user_id": "2002"},
    EventType.PHOTO_UNLIKED: {"photo_id": str(PHOTO), "user_id": "2002"},
}
ANY = ...


def record(
    event_type: EventType,
    data: Mapping[str, object],
    *,
    key: object = ANY,
    time_ms: int = NOW_MS,
    source: str = "/upstream",
) -> Record:
    kind = EVENT_KINDS[event_type]
    text_key = str(data.get(kind.key_field)).encode()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "a-1",
        "ce_source": source,
        "ce_type": event_type,
        "ce_time": rfc3339(utc_datetime(time_ms * 1_000)),
    }
    return Record(
        topic=f"test.{kind.topic_name}",
        partition=0,
        offset=0,
        timestamp_ms=NOW_MS,
        key=text_key if key is ANY else key,  # type: ignore[arg-type]  # Tests give bytes or None.
        value=json.dumps(data).encode(),
        headers=tuple((name, text.encode()) for name, text in headers.items()),
    )


def decoded(event_type: EventType, given_record: Record) -> Event:
    return decode_event(
        EVENT_KINDS[event_type].topic_name, given_record, NOW_MS, own_source=OWN, own_prefix="shutterline/"
    )


def upload(**changes: object) -> PhotoUploaded:
    event = decoded(EventType.PHOTO_UPLOADED, record(EventType.PHOTO_UPLOADED, {**UPLOAD, **changes}))
    assert isinstance(event.data, PhotoUploaded)
    return event.data


def refused(event_type: EventType, poison: Record) -> PoisonEvent:
    with pytest.raises(PoisonEvent) as caught:
        decoded(event_type, poison)
    return caught.value


def invalid(**changes: object) -> str:
    """Return the error of an upload with these changes. Its reason must be `invalid_data`."""
    poison = refused(EventType.PHOTO_UPLOADED, record(EventType.PHOTO_UPLOADED, {**UPLOAD, **changes}))
    assert poison.reason is Reason.INVALID_DATA
    return poison.error


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_of_every_type_decodes_to_its_model(event_type: EventType) -> None:
    """The event also has the attributes of its envelope."""
    event = decoded(event_type, record(event_type, DATA[event_type]))

    assert (event.id, event.source, event.type, event.time_us) == (
        "a-1",
        "/upstream",
        event_type,
        NOW_MS * 1_000,
    )
    assert type(event.data) is EVENT_KINDS[event_type].model


def test_an_upload_decodes_to_typed_values() -> None:
    """Ids are integers, the time is an instant in UTC, and an absent optional field has its
    default."""
    expected = PhotoUploaded(
        photo_id=PHOTO,
        author_id=UserId(1001),
        object_key="originals/a.jpg",
        content_type="image/jpeg",
        created_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    )

    assert expected == upload()
    assert (expected.caption, expected.renditions) == ("", None)


def test_ids_may_come_as_integers() -> None:
    """Integers are accepted on input only. We write strings."""
    assert upload(photo_id=int(PHOTO), author_id=1001) == upload()


def test_null_is_as_good_as_absent_where_a_field_is_optional() -> None:
    """Many publishers write null for a field that has no value."""
    assert upload(caption=None, renditions=None) == upload()


def test_unknown_fields_are_ignored() -> None:
    """Publishers may add fields, and a later version of our contract may define one of them."""
    assert upload(filter="sepia", nested={"a": [1]}) == upload()


def test_of_a_repeated_key_the_last_counts() -> None:
    """The contract says so."""
    twice = json.dumps(UPLOAD)[:-1].encode() + b',"caption":"first","caption":"last"}'
    plain = record(EventType.PHOTO_UPLOADED, UPLOAD)
    doubled = Record(plain.topic, 0, 0, NOW_MS, plain.key, twice, plain.headers)

    data = decoded(EventType.PHOTO_UPLOADED, doubled).data

    assert isinstance(data, PhotoUploaded)
    assert data.caption == "last"


@pytest.mark.parametrize("event_type", EventType)
def test_every_required_field_is_missed(event_type: EventType) -> None:
    """A required field that is absent or null is refused, and the error names the field."""
    for name in DATA[event_type]:
        rest = {field_name: value for field_name, value in DATA[event_type].items() if field_name != name}
        for data in (rest, {**rest, name: None}):
            poison = refused(event_type, record(event_type, data))

            assert poison.reason is Reason.INVALID_DATA
            assert name in poison.error


@pytest.mark.parametrize(
    "bad", [0, -1, True, 1.0, "1_000", " 12", "", "x", ID_MAX + 1, str(ID_MAX + 1), 2**64, 2**70, [], {}]
)
def test_an_id_in_any_other_form_is_invalid_data(bad: object) -> None:
    """This holds for each id of every event, and also for the id that is the record's key."""
    for event_type, data in DATA.items():
        for name in data:
            if name.endswith("_id"):
                poison = refused(event_type, record(event_type, {**data, name: bad}))

                assert poison.reason is Reason.INVALID_DATA
                assert poison.error.startswith(f"{name} is ")


@pytest.mark.parametrize(
    "changes",
    [
        {"object_key": ""},
        {"object_key": "é" * 513},
        {"object_key": "a\nb"},
        {"object_key": "a\x00"},
        {"object_key": "a\x9f"},
        {"object_key": 7},
        {"object_key": "/a"},
        {"object_key": "a/"},
        {"object_key": "a//b"},
        {"object_key": "a/./b"},
        {"object_key": "../a"},
        {"object_key": f"{PREFIX}originals/{PHOTO + 1}"},
        {"object_key": f"{PREFIX}originals/{PHOTO}0"},
        {"object_key": f"{PREFIX}renditions/{PHOTO}/large-{'0' * 64}.jpg"},
        {"content_type": "image/gif"},
        {"content_type": "image"},
        {"content_type": "; image/jpeg"},
        {"content_type": ""},
        {"content_type": ["image/jpeg"]},
        {"created_at": 1_769_860_800},
        {"created_at": "yesterday"},
        {"created_at": "2026-01-31"},
        {"created_at": "0000-01-01T00:00:00Z"},
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"created_at": "9999-12-31T23:59:60Z"},
        {"created_at": True},
        {"caption": "x" * 2_201},
        {"caption": 7},
        {"caption": "a\x1b[31m"},
        {"caption": "a\x9bb"},
        {"caption": "a\x00"},
        {"caption": "a\rb"},
        {"caption": ["x"]},
        {"renditions": []},
        {"renditions": "x"},
        {"renditions": {"thumbnail": None}},
        {"renditions": {"thumbnail": {"object_key": "k", "width": 1}}},
        {"renditions": {"thumbnail": {"object_key": "k", "width": 0, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": "k", "width": 1, "height": 16_385}}},
        {"renditions": {"thumbnail": {"object_key": "k", "width": 1.0, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": "k", "width": True, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": "k", "width": "1", "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": "", "width": 1, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": "a/../b", "width": 1, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": UPLOAD["object_key"], "width": 1, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": f"{PREFIX}originals/{PHOTO}", "width": 1, "height": 1}}},
        {"renditions": {"thumbnail": {"object_key": f"{PREFIX}renditions/1/a", "width": 1, "height": 1}}},
    ],
    ids=lambda changes: repr(changes)[:60],
)
def test_a_field_out_of_its_range_is_invalid_data(changes: dict[str, object]) -> None:
    """The error names the field."""
    (name,) = changes

    assert name in invalid(**changes)


def test_an_error_names_the_value_and_the_rule() -> None:
    """An operator can understand the dead letter without reading the record."""
    assert invalid(content_type="image/gif") == (
        "content_type is 'image/gif': Input should be 'image/jpeg', 'image/png' or 'image/webp'"
    )
    assert invalid(object_key=f"{PREFIX}originals/1") == (
        f"object_key is '{PREFIX}originals/1', but under {PREFIX} it must be {PREFIX}originals/{PHOTO}"
    )
    assert invalid(created_at="noon").startswith("created_at is 'noon', but must be an RFC 3339 time")
    assert invalid(object_key="a\n").startswith(r"object_key is 'a\n': must have no control characters")


def test_the_error_of_a_huge_value_is_short() -> None:
    """A value may have a megabyte, so the error must not quote all of it."""
    assert len(invalid(caption="\U0001f4f7" * 200_000)) < 500
    assert len(invalid(object_key="/" * 900_000)) < 500


def test_a_media_type_is_read_without_case_and_parameters() -> None:
    """RFC 9110, section 8.3.1, says so. Cameras and browsers write all of these forms."""
    for text in ("image/jpeg", "IMAGE/JPEG", "image/jpeg; charset=binary", " image/jpeg ;q=1"):
        assert upload(content_type=text).content_type == "image/jpeg"


def test_a_photo_may_be_older_than_1970() -> None:
    """`created_at` is only shown to people, so any RFC 3339 time is accepted."""
    assert upload(created_at="1839-08-19T12:00:00Z").created_at == datetime(1839, 8, 19, 12, tzinfo=UTC)
    assert upload(created_at="0001-01-01T00:00:00Z").created_at == datetime(1, 1, 1, tzinfo=UTC)
    assert upload(created_at="1969-12-31T23:59:60Z").created_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_renditions_of_other_names_are_ignored() -> None:
    """They are ignored as unknown fields are, so the photos of a publisher that makes a fifth size
    are accepted."""
    made = {"object_key": "k", "width": 1, "height": 1}
    many: dict[str, object] = {str(name): {} for name in range(20_000)}

    assert upload(renditions={**many, "small": made}).renditions == {
        "small": Rendition(object_key="k", width=1, height=1)
    }
    assert upload(renditions={"huge": 7}).renditions == {}


def test_the_systems_own_keys_are_those_of_the_same_photo() -> None:
    """Under our prefix, an event may name only objects of its own photo. The API publishes such an
    event."""
    rendition = {"object_key": f"{PREFIX}renditions/{PHOTO}/x.jpg", "width": 1, "height": 1}
    own = upload(object_key=f"{PREFIX}originals/{PHOTO}", renditions={"small": rendition})

    assert own.object_key == f"{PREFIX}originals/{PHOTO}"
    assert own.renditions is not None


def test_a_caption_may_have_lines_and_tabs() -> None:
    """Other control characters are refused, because captions are also shown on terminals."""
    assert upload(caption="one\ttwo\nthree").caption == "one\ttwo\nthree"


def test_what_is_at_its_limit_is_valid() -> None:
    """The limit of a caption is in code points, the limit of an object key in bytes."""
    full = upload(
        caption="\U0001f4f7" * 2_200,
        object_key="é" * 512,
        renditions={"large": {"object_key": "k", "width": 16_384, "height": 1, "blur": "x"}},
    )

    assert len(full.caption) == 2_200
    assert full.renditions == {"large": Rendition(object_key="k", width=16_384, height=1)}


def test_a_lone_surrogate_is_refused() -> None:
    """It cannot be written to a store as UTF-8, and orjson refuses it as JSON."""
    poison = refused(
        EventType.PHOTO_UPLOADED, record(EventType.PHOTO_UPLOADED, {**UPLOAD, "caption": "\ud800"})
    )

    assert poison.reason is Reason.NOT_JSON


@pytest.mark.parametrize(
    "name", ["photo.uploaded.v2", "photo.uploaded", "PHOTO.UPLOADED.V1", "x", "photo.liked.v1"]
)
def test_a_type_that_is_not_of_this_topic_is_unknown(name: str) -> None:
    """This includes other versions, other spellings, and the types of other topics."""
    plain = record(EventType.PHOTO_UPLOADED, UPLOAD)
    renamed = Record(
        plain.topic, 0, 0, 0, plain.key, plain.value, (*plain.headers, ("ce_type", name.encode()))
    )

    poison = refused(EventType.PHOTO_UPLOADED, renamed)

    assert poison.reason is Reason.UNKNOWN_TYPE
    assert f"'{name}'" in poison.error


@pytest.mark.parametrize("event_type", EventType)
@pytest.mark.parametrize(
    "key", [None, b"", b"0", b"01001", b"1001 ", b'"1001"', b"\x00\x00\x00\x00\x00\x00\x03\xe9"]
)
def test_a_key_that_is_not_the_id_in_the_data_is_a_mismatch(event_type: EventType, key: bytes | None) -> None:
    """The key may be missing, another id, or the same id in another form."""
    assert refused(event_type, record(event_type, DATA[event_type], key=key)).reason is Reason.KEY_MISMATCH


@pytest.mark.parametrize("event_type", [EventType.USER_FOLLOWED, EventType.USER_UNFOLLOWED])
def test_nobody_follows_themselves(event_type: EventType) -> None:
    """This also holds if one id is a string and the other an integer. It is checked before the
    key."""
    poison = record(event_type, {"follower_id": "7", "followee_id": 7}, key=None)

    assert refused(event_type, poison).reason is Reason.SELF_FOLLOW


@pytest.mark.parametrize(("source", "ahead_ms_max"), [("/upstream", FUTURE_MS_MAX), (OWN, OWN_FUTURE_MS_MAX)])
@pytest.mark.parametrize("event_type", EventType)
def test_an_event_may_be_ahead_of_the_clock_by_its_limit_and_no_more(
    event_type: EventType, source: str, ahead_ms_max: int
) -> None:
    """The limit is five minutes. Events of this system's API get one minute more, because the API
    has checked them against its own clock."""
    latest_ms = NOW_MS + ahead_ms_max

    decoded(event_type, record(event_type, DATA[event_type], time_ms=latest_ms, source=source))
    late = record(event_type, DATA[event_type], time_ms=latest_ms + 1, source=source)

    assert refused(event_type, late).reason is Reason.FROM_THE_FUTURE


@pytest.mark.parametrize(("source", "ahead_ms_max"), [("/upstream", FUTURE_MS_MAX), (OWN, OWN_FUTURE_MS_MAX)])
@pytest.mark.parametrize("event_type", [name for name in EventType if "photo_id" in DATA[name]])
def test_a_photo_id_may_be_ahead_of_the_clock_by_the_same(
    event_type: EventType, source: str, ahead_ms_max: int
) -> None:
    """A photo with an id from the future would be the first of every feed until that time."""
    last = first_id_at(NOW_MS + ahead_ms_max + 1) - 1

    decoded(event_type, record(event_type, {**DATA[event_type], "photo_id": last}, source=source))
    late = record(event_type, {**DATA[event_type], "photo_id": last + 1}, source=source)

    assert refused(event_type, late).reason is Reason.FROM_THE_FUTURE


def test_user_ids_have_no_time() -> None:
    """Any 63-bit integer is a valid user id, so its time bits are not checked."""
    data = {"follower_id": ID_MAX, "followee_id": ID_MAX - 1}

    assert decoded(EventType.USER_FOLLOWED, record(EventType.USER_FOLLOWED, data)).id == "a-1"


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(str(PHOTO))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["thumbnail", "object_key", "width", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(list(EventType)),
    st.dictionaries(
        st.sampled_from([*UPLOAD, "caption", "renditions", "user_id", "followee_id"]), json_values
    ),
)
def test_whatever_the_data_only_poison_leaves(event_type: EventType, changes: dict[str, object]) -> None:
    """Fields have values of every kind. The event decodes, or it is refused with a short
    sentence."""
    try:
        decoded(event_type, record(event_type, {**DATA[event_type], **changes}))
    except PoisonEvent as caught:
        poison = caught
    else:
        return

    assert 0 < len(poison.error.encode()) < 3_000


ids = st.integers(1, PHOTO)
users = ids.map(UserId)
photos = ids.map(PhotoId)
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/."), min_size=1, max_size=40
)
originals = texts.map(lambda text: f"originals/{text}")
renditions = st.builds(
    Rendition, object_key=texts, width=st.integers(1, 16_384), height=st.integers(1, 16_384)
)
instants_us = st.integers(0, NOW_MS * 1_000)
models: dict[EventType, st.SearchStrategy[EventData]] = {
    EventType.PHOTO_UPLOADED: st.builds(
        PhotoUploaded,
        photo_id=photos,
        author_id=users,
        object_key=originals,
        content_type=st.sampled_from(["image/jpeg", "image/png", "image/webp"]),
        created_at=instants_us.map(utc_datetime),
        caption=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")),
        renditions=st.none() | st.dictionaries(st.sampled_from(["thumbnail", "small", "large"]), renditions),
    ),
    EventType.PHOTO_DELETED: st.builds(PhotoDeleted, photo_id=photos, author_id=users),
    EventType.USER_FOLLOWED: st.builds(UserFollowed, follower_id=users, followee_id=st.just(UserId(ID_MAX))),
    EventType.USER_UNFOLLOWED: st.builds(
        UserUnfollowed, follower_id=users, followee_id=st.just(UserId(ID_MAX))
    ),
    EventType.PHOTO_LIKED: st.builds(PhotoLiked, photo_id=photos, user_id=users),
    EventType.PHOTO_UNLIKED: st.builds(PhotoUnliked, photo_id=photos, user_id=users),
}


@pytest.mark.parametrize("encode", [encode_event, encode_structured])
@pytest.mark.parametrize("event_type", EventType)
@given(source=st.data())
def test_what_we_write_decodes_to_what_we_meant(
    event_type: EventType, encode: object, source: st.DataObject
) -> None:
    """This holds for every event in both modes and for all valid values."""
    data, time_us = source.draw(models[event_type]), source.draw(instants_us)
    assert callable(encode)
    key, value, headers = encode(event_type, data, id="é-1", source=OWN, time_us=time_us)

    event = decoded(event_type, Record("x", 0, 0, 0, key, value, tuple(headers)))

    assert event == Event("é-1", OWN, event_type, time_us, data)


@pytest.mark.parametrize("encode", [encode_event, encode_structured])
def test_ids_are_written_as_decimal_strings(encode: object) -> None:
    """JavaScript cannot represent all 64-bit integers."""
    assert callable(encode)
    data = PhotoLiked(photo_id=PHOTO, user_id=UserId(2002))

    key, value, _ = encode(EventType.PHOTO_LIKED, data, id="1", source=OWN, time_us=0)

    written = orjson.loads(value)
    assert written.get("data", written) == {"photo_id": str(PHOTO), "user_id": "2002"}
    assert key == str(PHOTO).encode()
