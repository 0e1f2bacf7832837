"""A partition stops after exactly as many dead letters as its limits say, unless one source is the cause."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.limits.dead_letter_limit import (
    SOURCE_CHARS_MAX,
    DeadLetterLimit,
    LimitRules,
    SetAside,
    Source,
    Stop,
    TakenBack,
    Verdict,
)

API, APP, OTHER, THIRD = "/shutterline/api", "/app", "/other", "/third"
PRODUCTION = LimitRules(
    in_a_row_max=100,
    window_records=1_000,
    ratio_max=0.5,
    source_share_min=0.9,
    set_aside_max=8,
    own_source=API,
)
SMALL = replace(PRODUCTION, in_a_row_max=3, window_records=6, set_aside_max=3)


def stopped_at(outcomes: Iterable[bool], limit: DeadLetterLimit) -> int | None:
    """After how many records the partition stops; None when it does not."""
    for number, dead in enumerate(outcomes, 1):
        if limit.record(None, dead) is not None:
            return number
    return None


def production() -> DeadLetterLimit:
    return DeadLetterLimit(PRODUCTION)


def verdicts(limit: DeadLetterLimit, *records: tuple[Source, bool]) -> list[Verdict | None]:
    return [limit.record(source, dead) for source, dead in records]


def dead(*sources: Source) -> list[tuple[Source, bool]]:
    return [(source, True) for source in sources]


def handled(*sources: Source) -> list[tuple[Source, bool]]:
    return [(source, False) for source in sources]


def test_a_hundred_in_a_row_stop_it() -> None:
    """99 do not stop it; the returned text has the number and the limit."""
    limit = production()

    assert stopped_at([True] * 99, limit) is None
    assert limit.record(None, True) == Stop("100 dead letters in a row (limit 100)")


def test_one_good_record_ends_the_row() -> None:
    """99 dead letters, one good record and 99 more dead letters do not stop it."""
    outcomes = [True] * 99 + [False] + [True] * 99

    assert stopped_at(outcomes, production()) is None
    assert stopped_at([*outcomes, True], production()) == 200


def test_more_than_half_of_the_last_thousand_stop_it() -> None:
    """500 do not, 501 do; not before a thousand records were seen."""
    half = [True, False] * 500
    limit = production()

    assert stopped_at(half, limit) is None
    assert limit.record(None, True) is None  # It replaced an older dead letter in the window.
    assert limit.record(None, True) == Stop("501 of the last 1000 records were dead letters")


def test_below_a_full_window_the_share_does_not_count() -> None:
    """Two dead letters among the first three records do not mean a bad deploy."""
    assert stopped_at([True, True, False] * 333, production()) is None
    assert stopped_at([True, True, False] * 334, production()) == 1_000


def test_what_left_the_window_is_forgotten() -> None:
    """500 dead letters, a thousand good records, and 500 more dead letters do not stop it."""
    outcomes = [True, False] * 500 + [False] * 1_000 + [True, False] * 500

    assert stopped_at(outcomes, production()) is None


@pytest.mark.parametrize("ratio_max", [0.2, 0.5, 1.0])
@given(outcomes=st.lists(st.booleans(), max_size=60))
def test_it_stops_exactly_when_a_limit_is_passed(outcomes: list[bool], ratio_max: float) -> None:
    """For any outcomes, it stops at the first record after which one of the two rules holds."""
    expected = None
    for number in range(1, len(outcomes) + 1):
        row, window = outcomes[max(0, number - 4) : number], outcomes[max(0, number - 10) : number]
        in_a_row = len(row) == 4 and all(row)
        too_many = len(window) == 10 and sum(window) > ratio_max * 10
        if in_a_row or too_many:
            expected = number
            break

    rules = replace(PRODUCTION, in_a_row_max=4, window_records=10, ratio_max=ratio_max)
    limit = DeadLetterLimit(rules)

    assert stopped_at(outcomes, limit) == expected


def test_a_source_that_stands_out_is_set_aside_instead() -> None:
    """It has all dead letters of the row, so from then on its bad records stop nobody."""
    limit = DeadLetterLimit(SMALL)

    assert verdicts(limit, *dead(APP, APP)) == [None, None]
    assert limit.record(APP, True) == SetAside(APP, "3 dead letters in a row (limit 3), 3 of them its own")
    assert verdicts(limit, *dead(*[APP] * 20), *handled(API)) == [None] * 21


def test_a_source_is_set_aside_for_the_share_of_the_window_as_well() -> None:
    """Good records of others between its bad ones end each row, but the share passes the limit."""
    limit = DeadLetterLimit(SMALL)
    records = [*dead(APP, APP), *handled(API), *dead(APP, APP), *handled(API)]

    assert verdicts(limit, *records)[-1] == SetAside(
        APP, "4 of the last 6 records were dead letters, 4 of them its own"
    )


@pytest.mark.parametrize(
    "sources", [(None, None, None), (APP, OTHER, APP), (APP, None, APP), (API, API, API)]
)
def test_it_stops_where_no_source_stands_out(sources: tuple[Source, ...]) -> None:
    """Records without a source, several sources, and this system's own source stop the partition."""
    assert verdicts(DeadLetterLimit(SMALL), *dead(*sources)) == [
        None,
        None,
        Stop("3 dead letters in a row (limit 3)"),
    ]


def test_a_few_dead_letters_of_others_do_not_shield_the_culprit() -> None:
    """90 of 100 are enough, 89 are not."""
    for count, kind in ((90, SetAside), (89, Stop)):
        limit = production()
        records = [*dead(*[None] * (100 - count)), *dead(*[APP] * count)]

        assert isinstance(verdicts(limit, *records)[-1], kind)


def test_the_limit_still_holds_for_the_others() -> None:
    """While one source is set aside, three bad records of nobody's stop the partition. Its own bad
    records between them neither count nor end the row."""
    limit = DeadLetterLimit(SMALL)
    verdicts(limit, *dead(APP, APP, APP))

    assert verdicts(limit, *dead(None, APP, None, APP, None))[-1] == Stop("3 dead letters in a row (limit 3)")


def test_one_source_after_the_other_means_that_the_fault_is_ours() -> None:
    """After a bad deploy of this consumer every source fails; only the first is set aside."""
    limit = DeadLetterLimit(SMALL)

    seen = verdicts(limit, *dead(APP, APP, APP, OTHER, OTHER, OTHER))

    assert isinstance(seen[2], SetAside)
    assert isinstance(seen[5], Stop)


def test_a_second_source_is_set_aside_if_somebody_is_handled() -> None:
    """Then this consumer works, so two publishers are bad at the same time."""
    limit = DeadLetterLimit(SMALL)

    seen = verdicts(limit, *dead(APP, APP, APP), *handled(API), *dead(OTHER, OTHER, OTHER))

    assert isinstance(seen[-1], SetAside)


def test_a_source_is_taken_back_when_it_is_well() -> None:
    """Three handled records in a row; then its bad records count again, from zero."""
    limit = DeadLetterLimit(SMALL)
    verdicts(limit, *dead(APP, APP, APP))

    assert verdicts(limit, *handled(APP, APP), *dead(APP), *handled(APP, APP)) == [None] * 5
    assert limit.record(APP, False) == TakenBack(APP)
    assert verdicts(limit, *dead(APP, APP)) == [None, None]
    assert isinstance(limit.record(APP, True), SetAside)


def test_the_number_of_sources_set_aside_is_limited() -> None:
    """Somebody who writes a new source into every few records cannot fill the memory."""
    limit = DeadLetterLimit(SMALL)
    records = [record for number in range(4) for record in (*handled(API), *dead(*[f"/{number}"] * 3))]

    kinds = [type(verdict) for verdict in verdicts(limit, *records) if verdict is not None]

    assert kinds == [SetAside, SetAside, SetAside, Stop]


def test_a_long_source_is_cut() -> None:
    """The memory of a source is bounded, whatever a publisher writes."""
    limit = DeadLetterLimit(SMALL)
    long = "x" * 1_000_000

    [*_, verdict] = verdicts(limit, *dead(long, long, long))

    assert isinstance(verdict, SetAside)
    assert verdict.source == long[:SOURCE_CHARS_MAX]


@given(
    records=st.lists(st.tuples(st.sampled_from([None, API, APP, OTHER, THIRD]), st.booleans()), max_size=60)
)
def test_nothing_is_remembered_beyond_the_window(records: list[tuple[Source, bool]]) -> None:
    """Whatever arrives, the counts are those of the window, and the window is bounded."""
    limit = DeadLetterLimit(SMALL)

    for source, is_dead in records:
        limit.record(source, is_dead)

        window = list(limit._window)
        assert len(window) <= 6
        assert dict(limit._dead) == {
            source: window.count((source, True)) for source, was_dead in window if was_dead
        }
        assert len(limit._set_aside) <= 3
