"""`shutterline publish`: one event by hand, to try things."""

import asyncio
from datetime import UTC, datetime
from time import time_ns
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from schemas.events import EVENT_KINDS, EventType
from schemas.facts import EventData
from schemas.sentences import validation_sentences
from schemas.times import rfc3339
from shutterline.failures import CommandFailed, load_settings, plain_failures, require, require_kafka
from shutterline.terminal import terminal
from streams.jobs.minting import leased_minter
from streams.kafka.producing.producer import Producer
from streams.kafka.producing.publisher import KafkaPublisher
from streams.stores.connect import connect
from topics.routing import route_of

SOURCE = "/shutterline/publish"
THUMBNAIL_SIDE = 150

# At module level because its decorators are how typer learns the commands; it holds no state.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Publish one event by hand, to try things."
)

Id = Annotated[str, typer.Option(metavar="ID")]


@app.command(
    "photo.uploaded", epilog="Example: shutterline publish photo.uploaded --author 7 --thumbnail try/7.jpg"
)
def photo_uploaded(
    author: Id,
    photo: Annotated[str | None, typer.Option(metavar="ID", help="Minted when none is given.")] = None,
    thumbnail: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Its key in the media bucket: the photo is ready at once."),
    ] = None,
    original: Annotated[str, typer.Option(metavar="KEY", help="The original's key.")] = "try/original.jpg",
    content_type: Annotated[str, typer.Option()] = "image/jpeg",
    caption: Annotated[str, typer.Option()] = "",
) -> None:
    """A photo was uploaded. Without a thumbnail the pipeline makes the renditions of the original."""
    rendition = {"object_key": thumbnail, "width": THUMBNAIL_SIDE, "height": THUMBNAIL_SIDE}
    fields: dict[str, object] = {
        "author_id": author,
        "object_key": original,
        "content_type": content_type,
        "caption": caption,
        "renditions": {"thumbnail": rendition} if thumbnail else None,
    }
    _publish("photo.uploaded.v1", fields | ({"photo_id": photo} if photo else {}))


@app.command("photo.deleted", epilog="Example: shutterline publish photo.deleted --photo 123 --author 7")
def photo_deleted(photo: Id, author: Id) -> None:
    """The author deleted the photo. Nothing restores it."""
    _publish("photo.deleted.v1", {"photo_id": photo, "author_id": author})


@app.command("user.followed", epilog="Example: shutterline publish user.followed --follower 1 --followee 2")
def user_followed(follower: Id, followee: Id) -> None:
    """One user follows another."""
    _publish("user.followed.v1", {"follower_id": follower, "followee_id": followee})


@app.command(
    "user.unfollowed", epilog="Example: shutterline publish user.unfollowed --follower 1 --followee 2"
)
def user_unfollowed(follower: Id, followee: Id) -> None:
    """One user no longer follows another."""
    _publish("user.unfollowed.v1", {"follower_id": follower, "followee_id": followee})


@app.command("photo.liked", epilog="Example: shutterline publish photo.liked --photo 123 --user 1")
def photo_liked(photo: Id, user: Id) -> None:
    """A user likes a photo."""
    _publish("photo.liked.v1", {"photo_id": photo, "user_id": user})


@app.command("photo.unliked", epilog="Example: shutterline publish photo.unliked --photo 123 --user 1")
def photo_unliked(photo: Id, user: Id) -> None:
    """A user no longer likes a photo."""
    _publish("photo.unliked.v1", {"photo_id": photo, "user_id": user})


def _publish(event_name: str, fields: dict[str, object]) -> None:
    with plain_failures():
        asyncio.run(_publish_one(event_name, fields, terminal()))


async def _publish_one(event_name: str, fields: dict[str, object], console: Console) -> None:
    settings, event_type = load_settings(), EventType(event_name)
    if event_type is EventType.PHOTO_UPLOADED:
        fields["created_at"] = rfc3339(datetime.now(UTC))
        if "photo_id" not in fields:
            # Check the other fields with a placeholder id first, so that no id is minted for an
            # invalid event.
            _checked(event_type, {"photo_id": 1, **fields})
            fields["photo_id"] = await _minted()
    data = _checked(event_type, fields)
    route = route_of(data)
    await require_kafka(settings)
    async with Producer(settings, timeout_ms=settings.worker_store_timeout_ms) as producer:
        sizes = await producer.compare_sizes()
        publisher = KafkaPublisher(producer, namespace=settings.namespace, source=SOURCE)
        await publisher.publish(data, time_us=time_ns() // 1_000)
    topic_name, partition = (
        route.topic.named(settings.namespace),
        sizes.partition_of(route.topic, route.key_id),
    )
    console.print(f"{event_name} published to {topic_name}, partition {partition}, key {route.key_id}")
    for name, value in data.model_dump(mode="json", exclude_none=True).items():
        console.print(f"  {name} {value}")


def _checked(event_type: str, fields: dict[str, object]) -> EventData:
    """The event's data, by the rules that every event has to obey.

    Raises:
        CommandFailed: A rule is broken.
    """
    try:
        data = EVENT_KINDS[EventType(event_type)].model.model_validate(fields)
    except ValidationError as error:
        sentences = "; ".join(validation_sentences(error))
        raise CommandFailed(f"Nothing was published. {sentences}") from error
    if len({fields.get("follower_id"), fields.get("followee_id")}) == 1 and "follower_id" in fields:
        raise CommandFailed(f"Nothing was published. {fields['follower_id']} cannot follow itself.")
    return data


async def _minted() -> int:
    settings = load_settings()
    await require(cassandra=settings.cassandra)
    async with (
        connect(settings, timeout_ms=settings.worker_store_timeout_ms) as stores,
        leased_minter(stores.shard_leases) as minter,
    ):
        return await minter.mint()
