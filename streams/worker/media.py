"""Make from the settings what the lanes of `renditions` need: rules, limits, slots and decoders."""

import asyncio
from functools import partial

from streams.clock import unix_ms
from streams.core.object_keys import ObjectKeys
from streams.kafka.stages.decode_slots import DecodeSlots
from streams.media.decoders import Cost, Decoders
from streams.media.limits import MediaLimits
from streams.metrics import DECODE_COST
from streams.renditions.making import MakingRules
from streams.settings import RenditionSettings, UploadSettings
from topics.catalogue import Lane

# While a child decodes one original, the process reads another or stores the renditions of another.
ORIGINALS_PER_CHILD = 2


def making_rules(settings: RenditionSettings, uploads: UploadSettings) -> MakingRules:
    """Return the rules by which renditions are made and named."""
    return MakingRules(
        keys=ObjectKeys(settings.object_prefix),
        rendition_format=settings.rendition_format,
        original_bytes_max=uploads.upload_bytes_max,
        original_poll_ms=settings.original_poll_s * 1_000,
        clock_ms=unix_ms,
    )


def media_limits(settings: RenditionSettings, uploads: UploadSettings, lane: Lane) -> MediaLimits:
    """Return the lane's limits on an original's size and on the memory and time to decode it."""
    return MediaLimits(
        original_bytes_max=uploads.upload_bytes_max,
        original_pixels_max=settings.original_pixels_max,
        original_side_pixels_max=settings.original_side_pixels_max,
        decoder_memory_bytes_max=settings.decoder_memory_bytes_max,
        large_decoder_memory_bytes_max=settings.large_decoder_memory_bytes_max,
        decoder_cpu_s_max=settings.decoder_cpu_s_max,
        decoder_wall_s_max=(
            settings.thumbnail_decoder_wall_s_max
            if lane is Lane.THUMBNAIL
            else settings.full_decoder_wall_s_max
        ),
    )


def decode_slots(settings: RenditionSettings) -> DecodeSlots:
    """Return the slots that both lanes of a process share."""
    return DecodeSlots(
        thumbnails_max=settings.thumbnail_children_max * ORIGINALS_PER_CHILD,
        fulls_max=settings.full_children_max * ORIGINALS_PER_CHILD,
    )


def decoders(
    settings: RenditionSettings, uploads: UploadSettings, lane: Lane, large_turn: asyncio.Lock
) -> Decoders:
    """Return the lane's own decoder child processes, not started yet.

    The lock `large_turn` allows one large original at a time in all lanes. Decoders of full
    renditions run at the lowest CPU priority, except for large originals.
    """
    is_thumbnail = lane is Lane.THUMBNAIL
    return Decoders(
        media_limits(settings, uploads, lane),
        children_max=settings.thumbnail_children_max if is_thumbnail else settings.full_children_max,
        is_background=not is_thumbnail,
        rendition_format=settings.rendition_format,
        large_turn=large_turn,
        observe=partial(_observe, lane),
    )


def _observe(lane: Lane, cost: Cost) -> None:
    if cost.pixels:
        DECODE_COST.labels(lane.value).observe(cost.cpu_ms * 1_000 / cost.pixels)
