"""No photo is rejected because a decoder was killed once, or because no decoder runs."""

import pytest

from streams.core.renditions import EncodedRendition, encoded_rendition
from streams.errors import StoreUnavailable
from streams.media.rejected import Reason, Rejected
from streams.media.zygote_link import DecodersLost
from streams.renditions.retrying_decoder import ATTEMPTS_MAX, RetryingDecoder

MADE = encoded_rendition(b"thumbnail", 3, 2)


class Failing:
    """A decoder that raises one of `errors` for each call, and succeeds when none is left."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def thumbnail(self, original: bytes) -> EncodedRendition:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return MADE

    async def full(self, original: bytes) -> dict[str, EncodedRendition]:
        return {"small": await self.thumbnail(original)}


def crash() -> Rejected:
    return Rejected(Reason.DECODER_CRASHED, "the decoder ended with SIGKILL")


async def test_a_crash_is_tried_again() -> None:
    """This holds for thumbnails and for full renditions."""
    decoder = RetryingDecoder(Failing(*[crash() for _ in range(ATTEMPTS_MAX - 1)]))

    assert MADE == await decoder.thumbnail(b"original")
    assert {"small": MADE} == await RetryingDecoder(Failing(crash())).full(b"original")


async def test_what_crashes_every_time_is_rejected() -> None:
    """The photo is rejected after `ATTEMPTS_MAX` tries."""
    failing = Failing(*[crash() for _ in range(ATTEMPTS_MAX + 1)])
    with pytest.raises(Rejected) as raised:
        await RetryingDecoder(failing).thumbnail(b"original")

    assert (Reason.DECODER_CRASHED, ATTEMPTS_MAX) == (raised.value.reason, failing.calls)


async def test_any_other_fault_is_the_photos_own() -> None:
    """A photo that is rejected for another reason than a crash is not decoded again."""
    failing = Failing(Rejected(Reason.BROKEN, "no end"))
    with pytest.raises(Rejected):
        await RetryingDecoder(failing).thumbnail(b"original")

    assert failing.calls == 1


async def test_decoders_that_are_not_there_are_waited_for() -> None:
    """Nothing is known about the photo, so the caller waits, as for a store."""
    with pytest.raises(StoreUnavailable):
        await RetryingDecoder(Failing(DecodersLost("no zygote"))).thumbnail(b"original")
