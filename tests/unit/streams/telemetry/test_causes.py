"""The cause of what a task does reaches its records and its lines, and nothing that lives longer."""

import asyncio

import pytest

from schemas.ids import PhotoId, UserId
from schemas.internal import Backfill, FanoutPage, FanoutPosts, OwnPost
from streams.telemetry.causes import (
    EVENT_ID_CHARS_MAX,
    UNKNOWN,
    Cause,
    Headers,
    cause_of,
    causes_in,
    collecting_published,
    handled,
    handling,
    headers_about,
    note_published,
    valid_traceparent,
)
from streams.telemetry.subjects import subjects_of_fanout

SPAN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("causes", "subjects"),
    [
        ({1: Cause("e1", SPAN)}, [1]),
        ({1: Cause("e1")}, [1]),
        ({1: Cause(None, SPAN)}, [1]),
        ({(1, 2): Cause("e1"), (3, 4): Cause("e2", SPAN)}, [(5, 6), (1, 2), (3, 4)]),
    ],
)
def test_what_a_record_says_of_its_causes_is_read_back(
    causes: dict[int | tuple[int, int], Cause], subjects: list[int | tuple[int, int]]
) -> None:
    """Of each subject by its place, also where nothing is known of another one."""
    with handling({}, list, causes):
        headers = headers_about(subjects)

    assert causes == causes_in(headers, subjects)


def test_a_record_about_others_has_no_headers() -> None:
    """Nor has one of a task that handles nothing that is followed."""
    with handling({}, list, {1: Cause("e1", SPAN)}):
        other = headers_about([2])
    with handling({}, lambda: ["e1"]):
        unfollowed = headers_about([1])

    assert ([], [], []) == (other, unfollowed, headers_about([1]))


@pytest.mark.parametrize("span", [b"", b"x", SPAN.upper().encode(), SPAN.encode() + b"-00", None])
def test_what_is_no_traceparent_is_left_out(span: bytes | None) -> None:
    """Publishers write the header, too."""
    assert valid_traceparent(span) is None


def test_a_long_event_id_is_shortened_and_bytes_are_survived() -> None:
    """A publisher chooses the id."""
    headers: Headers = [("event_id", b"\xff" * 1_000)]

    assert {1: Cause("�" * EVENT_ID_CHARS_MAX)} == causes_in(headers, [1])


async def test_a_task_that_a_handler_leaves_behind_handles_nothing() -> None:
    """A connection that is opened while a batch is handled reports its own trouble later."""
    ended = asyncio.Event()

    async def live_longer() -> tuple[object, ...]:
        within = (list(handled()[1]), cause_of(1))
        await ended.wait()
        return within, list(handled()[1]), cause_of(1), headers_about([1])

    with handling({}, lambda: ["e1"], {1: Cause("e1")}):
        task = asyncio.create_task(live_longer())
        await asyncio.sleep(0)
    ended.set()

    assert ((["e1"], Cause("e1")), [], UNKNOWN, []) == await task


async def test_requests_at_the_same_time_collect_what_they_publish_themselves() -> None:
    """Also what a task of theirs publishes."""

    async def request(event_id: str) -> list[str]:
        with collecting_published() as published:
            await asyncio.sleep(0)
            await asyncio.create_task(publish(event_id))
        return published

    async def publish(event_id: str) -> None:
        note_published(event_id)

    note_published("outside")

    assert [["e1"], ["e2"]] == list(await asyncio.gather(request("e1"), request("e2")))


def test_the_subjects_of_a_record_are_its_photos_or_follows() -> None:
    """In the order of the record, because the headers have no other key."""
    posts = FanoutPosts(0, ((PhotoId(5), UserId(1), 0, 0), (PhotoId(4), UserId(2), 0, 0)))
    follows = ((UserId(1), UserId(2)), (UserId(3), UserId(4)))

    assert [5, 4] == list(subjects_of_fanout(posts))
    assert [7] == list(subjects_of_fanout(FanoutPage(PhotoId(7), UserId(1), 0, 0, 0)))
    assert [7] == list(subjects_of_fanout(OwnPost(PhotoId(7), UserId(1), 0)))
    assert list(follows) == list(subjects_of_fanout(Backfill(follows)))
