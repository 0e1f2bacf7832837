"""What is stored of a user as a reader: the timeline, and whom they follow."""

from collections.abc import Sequence

from schemas.ids import UserId
from shutterline.inspect.formatting import IDS_SHOWN_MAX, NONE, listed, minted, time_left
from shutterline.inspect.stored import Inspection, Section, partitions
from streams.core import ring
from streams.stores.cache.following import decode_following
from streams.stores.cache.keys import following_key
from topics.catalogue import EDGES, FANOUT, FOLLOWS, Lane


async def inspect_user(inspection: Inspection, user: UserId) -> list[Section]:
    """Raises StoreUnavailable if a store does not answer."""
    return [
        await _timeline(inspection, user),
        await _cached(inspection, user),
        await _following(inspection, user),
        partitions(
            inspection.namespace,
            inspection.sizes,
            (FOLLOWS, user, None),
            (EDGES, user, None),
            (FANOUT, user, Lane.NORMAL),
        ),
    ]


async def _timeline(inspection: Inspection, user: UserId) -> Section:
    title = "Timeline (Redis)"
    stored = await inspection.redis.timeline(user)
    if stored is None:
        return Section(title, (("exists", "no; the next read rebuilds it from Cassandra"),))
    parsed = ring.parse(stored.value)
    newest = sorted(parsed.ids, reverse=True)[:IDS_SHOWN_MAX]
    facts = [
        ("exists", "yes" if parsed.token == ring.NO_TOKEN else "is being rebuilt"),
        ("time to live", time_left(stored.ttl_s)),
        ("memory", f"{stored.memory_bytes:,} bytes"),
        ("photos", f"{len(parsed.ids)} in {_slots(stored.value)} slots"),
        ("complete above", minted(parsed.floor) if parsed.floor else "everything"),
        ("arrivals since its layout", str(parsed.arrivals)),
        ("version", str(parsed.version)),
        ("rebuild token", parsed.token.hex() if parsed.token != ring.NO_TOKEN else NONE),
        *_newest(newest),
    ]
    return Section(title, tuple(facts))


def _slots(value: bytes) -> int:
    return (len(value) - ring.HEADER_BYTES) // 8


def _newest(photos: Sequence[int]) -> list[tuple[str, str]]:
    return [("newest photo" if index == 0 else "", minted(photo)) for index, photo in enumerate(photos)]


async def _cached(inspection: Inspection, user: UserId) -> Section:
    [value] = await inspection.redis.cache.get([following_key(user)])
    shown = NONE
    if value is not None:
        following = decode_following(value).following
        shown = f"{len(following)}: {listed(following, len(following))}"
    return Section("Cached (Redis)", (("following", shown),))


async def _following(inspection: Inspection, user: UserId) -> Section:
    following = await inspection.outgoing_edges.following(user)
    newest = sorted(following, key=lambda followee: -following[followee])
    return Section(
        "Following (Cassandra)",
        (
            ("follows", str(len(following))),
            ("latest", listed(newest, len(newest))),
        ),
    )
