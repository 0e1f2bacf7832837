"""What the lanes of `renditions` need, made of the settings: limits, rules, places and decoders."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import time

from streams.core.object_keys import ObjectKeys
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.media.decoders import Cost, Decoders
from streams.media.limits import MediaLimits
from streams.metrics import DECODE_COST
from streams.renditions.making import Decoder, RenditionRules
from streams.renditions.retrying_decoder import RetryingDecoder
from streams.settings import Settings
from topics.catalogue import Lane

# While as many originals are decoded, as many others are read or their renditions put.
ORIGINALS_A_CHILD = 2


def rendition_rules(settings: Settings) -> RenditionRules:
    """How renditions are made and named."""
    return RenditionRules(
        keys=ObjectKeys(settings.object_prefix),
        rendition_format=settings.rendition_format,
        original_bytes_max=settings.upload_bytes_max,
        original_poll_ms=settings.original_poll_s * 1_000,
        clock_ms=lambda: int(time() * 1_000),
    )


def media_limits(settings: Settings, lane: Lane) -> MediaLimits:
    """What an original may be and cost."""
    thumbnail = lane is Lane.THUMBNAIL
    return MediaLimits(
        original_bytes_max=settings.upload_bytes_max,
        original_pixels_max=settings.original_pixels_max,
        original_side_pixels_max=settings.original_side_pixels_max,
        decoder_memory_bytes_max=settings.decoder_memory_bytes_max,
        large_decoder_memory_bytes_max=settings.large_decoder_memory_bytes_max,
        decoder_cpu_s_max=settings.decoder_cpu_s_max,
        decoder_wall_s_max=(
            settings.thumbnail_decoder_wall_s_max if thumbnail else settings.full_decoder_wall_s_max
        ),
    )


def places(settings: Settings) -> DecodeSlots:
    """One for all lanes of the process."""
    return DecodeSlots(
        thumbnails_max=settings.thumbnail_children_max * ORIGINALS_A_CHILD,
        fulls_max=settings.full_children_max * ORIGINALS_A_CHILD,
    )


@asynccontextmanager
async def decoders(settings: Settings, lanes: Collection[Lane]) -> AsyncIterator[Mapping[Lane, Decoder]]:
    """Each lane's own child processes, which end with the block; large originals take turns over all."""
    children = {Lane.THUMBNAIL: settings.thumbnail_children_max, Lane.FULL: settings.full_children_max}
    large_turn, made = asyncio.Lock(), {}
    async with AsyncExitStack() as closing:
        for lane in lanes:
            own = Decoders(
                media_limits(settings, lane),
                children_max=children[lane],
                is_background=lane is Lane.FULL,
                rendition_format=settings.rendition_format,
                large_turn=large_turn,
                observe=partial(_observe, lane),
            )
            made[lane] = RetryingDecoder(await closing.enter_async_context(own))
        yield made


def _observe(lane: Lane, cost: Cost) -> None:
    if cost.pixels:
        DECODE_COST.labels(lane.value).observe(cost.cpu_ms * 1_000 / cost.pixels)
