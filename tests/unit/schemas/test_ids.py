"""Ids: 64 bits in time order, decimal in JSON, 8 bytes in stores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import (
    EPOCH_MS,
    ID_MAX,
    SEQUENCES,
    SHARDS,
    compose_id,
    first_id_at,
    id_ms,
    pack_id,
    pack_ids,
    parse_id,
    unpack_id,
    unpack_ids,
)

ids = st.integers(1, ID_MAX)
times_ms = st.integers(EPOCH_MS + 1, EPOCH_MS + 2**40 - 1)
shards = st.integers(0, SHARDS - 1)
sequences = st.integers(0, SEQUENCES - 1)


def test_the_parts_of_an_id_stand_where_the_contract_says() -> None:
    """Milliseconds since 2024, then 13 bits of shard, then 10 of sequence."""
    assert compose_id(EPOCH_MS + 1, 0, 0) == 1 << 23
    assert compose_id(EPOCH_MS, 1, 0) == 1 << 10
    assert compose_id(EPOCH_MS, 0, 1) == 1


def test_the_last_id_is_the_greatest_63_bit_integer() -> None:
    """The last millisecond, shard and sequence fill every bit but the top one."""
    assert compose_id(EPOCH_MS + 2**40 - 1, SHARDS - 1, SEQUENCES - 1) == ID_MAX


@given(times_ms, shards, sequences)
def test_an_id_tells_its_millisecond_and_is_valid(unix_ms: int, shard: int, sequence: int) -> None:
    """For all parts, the id is in range and its time can be read from it."""
    composed = compose_id(unix_ms, shard, sequence)

    assert id_ms(composed) == unix_ms
    assert parse_id(composed) == composed


@given(st.tuples(times_ms, shards, sequences), st.tuples(times_ms, shards, sequences))
def test_ids_order_as_their_parts_do(left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    """By time first, then shard, then sequence."""
    assert (compose_id(*left) < compose_id(*right)) == (left < right)


@pytest.mark.parametrize(
    ("unix_ms", "shard", "sequence"),
    [
        (EPOCH_MS - 1, 0, 0),
        (EPOCH_MS + 2**40, 0, 0),
        (EPOCH_MS + 1, SHARDS, 0),
        (EPOCH_MS + 1, -1, 0),
        (EPOCH_MS + 1, 0, SEQUENCES),
        (EPOCH_MS + 1, 0, -1),
        (EPOCH_MS, 0, 0),
    ],
)
def test_parts_that_do_not_fit_are_refused(unix_ms: int, shard: int, sequence: int) -> None:
    """A part that is too large would change the bits of its neighbour. The value 0 is not an id."""
    with pytest.raises(ValueError, match=r"must be|ids hold|no id"):
        compose_id(unix_ms, shard, sequence)


@given(times_ms, shards, sequences)
def test_the_first_id_of_a_millisecond_is_below_all_of_it_and_above_all_before(
    unix_ms: int, shard: int, sequence: int
) -> None:
    """It separates the ids of this millisecond from the ids before."""
    assert first_id_at(unix_ms) <= compose_id(unix_ms, shard, sequence)
    assert id_ms(first_id_at(unix_ms)) == unix_ms
    assert id_ms(first_id_at(unix_ms) - 1) == unix_ms - 1


def test_the_first_id_of_a_time_before_2024_is_one() -> None:
    """Ids begin in 2024, and the value 0 is not an id."""
    assert first_id_at(EPOCH_MS) == 1
    assert first_id_at(0) == 1


def test_there_is_no_first_id_after_the_last() -> None:
    """Times after 2058 do not fit into an id."""
    with pytest.raises(ValueError, match="2058"):
        first_id_at(EPOCH_MS + 2**40)


@given(ids)
def test_an_id_is_read_from_an_integer_and_from_its_decimal_string(number: int) -> None:
    """Both forms are in the contract and mean the same id."""
    assert parse_id(number) == number
    assert parse_id(str(number)) == number


@pytest.mark.parametrize(
    "value",
    [
        0, -1, ID_MAX + 1, True, False, 1.0, None, b"1", [], {}, "", "0", "-1", "+1", "01", "1_000", " 12",
        "12 ", "12\n", "1.0", "1e3", "0x1", "١٢", "１２", str(ID_MAX + 1), "9" * 19, "9" * 5_000,  # noqa: RUF001
        [[[]]] * 1_000,
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_nothing_else_is_an_id(value: object) -> None:
    """`int()` would accept some of these values. The error names the field and the rule."""
    with pytest.raises(ValueError, match=r"^photo_id is .* must be an integer from 1 to 9223372036854775807"):
        parse_id(value, "photo_id")


def test_a_value_nested_too_deep_for_repr_is_refused_like_any_other() -> None:
    """The error text is built without recursion into the value."""
    nested: object = []
    for _ in range(5_000):
        nested = [nested]

    with pytest.raises(ValueError, match="must be an integer"):
        parse_id(nested)


@given(st.lists(ids))
def test_packed_ids_come_back_as_they_were(numbers: list[int]) -> None:
    """Order and values are preserved, with 8 bytes for each id."""
    packed = pack_ids(numbers)

    assert len(packed) == 8 * len(numbers)
    assert unpack_ids(packed) == tuple(numbers)
    assert packed == b"".join(map(pack_id, numbers))


@given(ids, ids)
def test_packed_ids_sort_as_ids_do(left: int, right: int) -> None:
    """They are big-endian, so comparing the bytes compares the numbers."""
    assert (pack_id(left) < pack_id(right)) == (left < right)
    assert unpack_id(pack_id(left)) == left


@pytest.mark.parametrize("packed", [b"", b"1234567", b"123456789"])
def test_bytes_of_another_length_are_no_id(packed: bytes) -> None:
    """If a value was truncated or concatenated, it must not decode to other ids."""
    with pytest.raises(ValueError, match="8 bytes"):
        unpack_id(packed)


def test_a_blob_of_a_broken_length_is_refused() -> None:
    """A part of an id is not dropped silently."""
    with pytest.raises(ValueError, match="multiple of 8"):
        unpack_ids(b"123456789")
