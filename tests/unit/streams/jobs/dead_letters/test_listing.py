"""The list counts by topic and reason, and holds only the newest letters."""

from schemas.envelope import Reason
from streams.jobs.dead_letters.listing import Group, Listing
from streams.ports.coordination import Outcome
from tests.unit.streams.jobs.dead_letters.letters import NOW_MS, letter
from topics.catalogue import UPLOADS


def test_letters_are_counted_by_topic_and_reason() -> None:
    """Times and example are of those that wait; the example is the newest one's."""
    listing = Listing(newest_max=1)
    for number, outcome in enumerate([None, None, Outcome.REPLAYED, Outcome.DISCARDED]):
        listing.add(letter(number, failed_ms=NOW_MS + number), outcome)
    listing.add(letter(0, topic=UPLOADS, reason=Reason.SELF_FOLLOW), Outcome.DISCARDED)

    assert listing.groups == {
        ("likes", "not_json"): Group(
            waiting=2,
            replayed=1,
            discarded=1,
            oldest_us=NOW_MS * 1_000,
            newest_us=(NOW_MS + 1) * 1_000,
            example="the value is 1, but must be JSON",
        ),
        ("uploads", "self_follow"): Group(discarded=1),
    }


def test_the_newest_come_first_whatever_the_order() -> None:
    """The time of the failure decides, not the topic. What was handled is not shown."""
    listing = Listing(newest_max=3)
    for offset in (4, 0, 3, 1, 2, 5):
        listing.add(letter(offset, failed_ms=NOW_MS + offset), Outcome.REPLAYED if offset == 5 else None)

    assert [4, 3, 2] == [entry.offset for entry in listing.newest()]


def test_none_may_be_asked_for() -> None:
    listing = Listing(newest_max=0)
    listing.add(letter(0), None)

    assert [] == listing.newest()
