"""Read feeds over HTTP as an app does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.local.deployment import Deployment
from schemas.ids import PhotoId, UserId
from shutterline.client.feed import FeedClient, feed_client
from shutterline.tokens import tokens_for


@asynccontextmanager
async def client_of(deployment: Deployment) -> AsyncIterator[FeedClient]:
    """A client of the deployment's API, with a token for each user who reads."""
    async with feed_client(deployment.settings, tokens_for(deployment.settings)) as client:
        yield client


async def feed_of(client: FeedClient, reader: UserId, depth: int = 2_000) -> list[PhotoId]:
    """The ids of the feed's first `depth` photos, as the pages show them."""
    return (await client.walk(reader, depth=depth)).ids
