"""Find photos that wait for ever: `processing`, although nothing will make them ready or reject them.

An event that was lost, or dead-lettered before its photo was rejected for that, leaves such a photo.
"""

from more_itertools import sliced

from schemas.events import OWN_FUTURE_MS_MAX
from schemas.ids import ID_MAX, UserId, id_ms
from schemas.times import rfc3339, utc_datetime_of_ms
from shutterline.check.report import Finding, FindingKind
from shutterline.check.stores import CheckedStores
from streams.core.photos import Status

# An author's newest photos are looked at; older ones that wait have waited beside them.
PHOTOS_MAX = 1_000
PHOTOS_A_CALL = 100


async def check_waiting(
    stores: CheckedStores, user: UserId, *, waiting_s_max: int, now_ms: int
) -> tuple[list[Finding], int]:
    """Findings on the user's photos in processing, and how many of those there are.

    `waiting_s_max` is the longest that a photo may take from the moment that its id was minted. An id
    from the future is found at once: no event with it is ever handled.
    """
    listed = (await stores.author_photos.newest([user], below=ID_MAX, each_max=PHOTOS_MAX))[user]
    unready = [photo.photo_id for photo in listed if not photo.ready]
    findings, processing = [], 0
    for batch in sliced(unready, PHOTOS_A_CALL):
        for photo, row in (await stores.photos.get(batch)).items():
            if row.status is not Status.PROCESSING or row.deleted:
                continue
            processing += 1
            minted_ms = id_ms(photo)
            if not now_ms - waiting_s_max * 1_000 <= minted_ms <= now_ms + OWN_FUTURE_MS_MAX:
                detail = f"minted at {rfc3339(utc_datetime_of_ms(minted_ms))}"
                findings.append(Finding(FindingKind.WAITING, user, photo, detail))
    return findings, processing
