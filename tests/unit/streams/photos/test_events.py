"""An event of a photo goes to the handler of its type, and a ready photo's delivery is counted."""

import pytest
from prometheus_client import REGISTRY

from schemas.events import Event, EventType
from schemas.facts import EventData, Rendition
from streams.core.delivery import DeliveryReason, Mode
from streams.core.photos import Status
from streams.photos.events import PhotoEvents
from streams.stores.memory.stores import memory_stores
from tests.worlds.kafka import LOCAL
from tests.worlds.renditions import AUTHOR, DELETED, NOW_MS, PHOTO, RULES, UPLOADED, Log


def event(event_type: EventType, data: EventData) -> Event:
    return Event(id="1", source="/test", type=event_type, time_us=NOW_MS * 1_000, data=data)


def decisions() -> float:
    labels = {"mode": Mode.PUSH.value, "reason": DeliveryReason.FEW_FOLLOWERS.value}
    return REGISTRY.get_sample_value("shutterline_delivery_decisions_total", labels) or 0.0


@pytest.fixture
def events() -> PhotoEvents:
    return PhotoEvents(
        stores=memory_stores(clock_ms=lambda: NOW_MS),
        outbox=Log(),
        delivery_rules=RULES,
        sizes=LOCAL,
        original_poll_ms=2_000,
        clock_ms=lambda: NOW_MS,
    )


async def test_an_event_goes_to_the_handler_of_its_type(events: PhotoEvents) -> None:
    """The upload writes the row; the delete hides the photo."""
    await events.handle([event(EventType.PHOTO_UPLOADED, UPLOADED)])
    uploaded = (await events.stores.photos.get([PHOTO]))[PHOTO]
    await events.handle([event(EventType.PHOTO_DELETED, DELETED)])
    deleted = (await events.stores.photos.get([PHOTO]))[PHOTO]

    assert (Status.PROCESSING, False) == (uploaded.status, uploaded.deleted)
    assert deleted.deleted
    assert await events.stores.photos.tombstones([(PHOTO, AUTHOR)])


async def test_the_delivery_of_a_ready_photo_is_counted(events: PhotoEvents) -> None:
    """It is counted by its mode and by the reason for that mode."""
    before = decisions()
    thumbnail = Rendition(object_key="r/1.jpg", width=150, height=100)
    await events.handle(
        [
            event(
                EventType.PHOTO_UPLOADED, UPLOADED.model_copy(update={"renditions": {"thumbnail": thumbnail}})
            )
        ]
    )

    assert before + 1 == decisions()
