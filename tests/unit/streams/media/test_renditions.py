"""What renditions look like, read back by another library than the one that made them."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
import pyvips  # type: ignore[import-untyped]  # It ships stubs without saying so.
from PIL import Image

from schemas.ids import PhotoId
from streams.core.object_keys import ObjectKeys
from streams.core.renditions import EncodedRendition, RenditionFormat
from streams.media import zygote_link
from streams.media.decoders import Cost, Decoders
from tests.worlds.media import BLUE, LIMITS, RED, encoded, is_near, jpeg, picture, pixel, png, read

ORIENTATION = 0x0112
SECRETS = (b"SecretCamera", b"xmpmeta", b"SecretComment", b"SecretPlace", b"ICC_PROFILE", b"Exif")
# How to transform the upright picture into the stored pixels of each orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


COSTS: list[Cost] = []


@pytest.fixture(scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    async with Decoders(LIMITS, children_max=2, is_background=False, observe=COSTS.append) as decoders:
        yield decoders


@pytest.fixture(scope="module")
async def webp_decoders() -> AsyncIterator[Decoders]:
    webp = RenditionFormat.WEBP
    async with Decoders(LIMITS, children_max=2, is_background=False, rendition_format=webp) as decoders:
        yield decoders


async def all_four(decoders: Decoders, original: bytes) -> dict[str, EncodedRendition]:
    return {"thumbnail": await decoders.thumbnail(original), **await decoders.full(original)}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (
            (2000, 1400),
            {"thumbnail": (150, 105), "small": (320, 224), "medium": (640, 448), "large": (1080, 756)},
        ),
        (
            (700, 1400),
            {"thumbnail": (75, 150), "small": (160, 320), "medium": (320, 640), "large": (540, 1080)},
        ),
        (
            (200, 100),
            {"thumbnail": (150, 75), "small": (200, 100), "medium": (200, 100), "large": (200, 100)},
        ),
        ((2, 2), dict.fromkeys(("thumbnail", "small", "medium", "large"), (2, 2))),
        ((1, 3000), {"thumbnail": (1, 150), "small": (1, 320), "medium": (1, 640), "large": (1, 1080)}),
    ],
)
async def test_all_four_are_made_and_never_enlarged(
    decoders: Decoders, size: tuple[int, int], expected: dict[str, tuple[int, int]]
) -> None:
    """Their longest sides are 150, 320, 640 and 1,080 pixels, but at most the original's."""
    renditions = await all_four(decoders, jpeg(*size))

    assert expected == {name: (made.width, made.height) for name, made in renditions.items()}
    assert expected == {name: read(made.body).size for name, made in renditions.items()}


@pytest.mark.parametrize("orientation", STORED)
async def test_renditions_are_upright(decoders: Decoders, orientation: int) -> None:
    """For each of the eight EXIF orientations the red quarter is at the top left."""
    upright, stored_as = picture(600, 400), STORED[orientation]
    stored = upright.transpose(stored_as) if stored_as is not None else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation

    renditions = await all_four(decoders, encoded(stored, "JPEG", exif=exif, quality=95))

    for made in renditions.values():
        assert made.width > made.height
        assert is_near(RED, pixel(made.body, 0.1, 0.1))
        for corner in ((0.9, 0.1), (0.1, 0.9), (0.9, 0.9)):
            assert is_near(BLUE, pixel(made.body, *corner))


def original_with_metadata() -> bytes:
    """A JPEG with a camera and a place in EXIF, XMP, a comment, IPTC and a colour profile."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[0x001D] = "SecretPlace"
    profile = pyvips.Operation.call("profile_load", "p3")
    body = encoded(
        picture(400, 300), "JPEG", exif=exif, comment=b"SecretComment", icc_profile=profile,
        xmp=b"<x:xmpmeta>SecretPlace</x:xmpmeta>",
    )  # fmt: skip
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x0b\x1c\x02\x5a\x00\x0bSecretPlace"
    return body[:2] + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + body[2:]


async def test_a_jpeg_rendition_says_nothing_of_its_origin(decoders: Decoders) -> None:
    """Not one segment that carries metadata is left: no EXIF, XMP, IPTC, comment, ICC."""
    original = original_with_metadata()
    assert all(secret in original for secret in SECRETS)

    for made in (await all_four(decoders, original)).values():
        assert [] == [secret for secret in SECRETS if secret in made.body]
        head = made.body[: made.body.index(b"\xff\xda")]
        assert [] == re.findall(rb"\xff([\xe0-\xef\xfe])", head)


async def test_a_webp_rendition_says_nothing_of_its_origin(webp_decoders: Decoders) -> None:
    """The file consists of the pixel data alone, without any other chunk."""
    for made in (await all_four(webp_decoders, original_with_metadata())).values():
        assert [] == [secret for secret in SECRETS if secret in made.body]
        assert made.body[12:16] in (b"VP8 ", b"VP8L")


async def test_a_profile_is_honoured(decoders: Decoders) -> None:
    """The same numbers are a stronger red in Display P3 than in sRGB, so they are converted."""
    profile = pyvips.Operation.call("profile_load", "p3")
    plain = Image.new("RGB", (400, 300), (200, 60, 60))

    with_profile = await decoders.full(encoded(plain, "JPEG", quality=95, icc_profile=profile))
    without = await decoders.full(encoded(plain, "JPEG", quality=95))

    assert is_near((200, 60, 60), pixel(without["large"].body, 0.5, 0.5), by=4)
    assert is_near((217, 41, 52), pixel(with_profile["large"].body, 0.5, 0.5), by=6)


async def test_a_profile_that_cannot_be_read_is_ignored(decoders: Decoders) -> None:
    """The pixels are intact, so they are used without the profile, as browsers do."""
    made = await decoders.thumbnail(encoded(picture(400, 300), "JPEG", icc_profile=b"no profile" * 40))

    assert is_near(RED, pixel(made.body, 0.1, 0.1))


async def test_cmyk_without_a_profile_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    """libvips then uses its own profile, and reads it after freeing it if its cache is off."""
    # Without our malloc settings, freed memory is returned to the kernel, so that such a read
    # crashes the decoder.
    ours = zygote_link._environment()
    giving_back = {
        name: value for name, value in ours.items() if "MALLOC" not in name.upper() + value.upper()
    }
    monkeypatch.setattr(zygote_link, "_environment", lambda: giving_back)
    async with Decoders(LIMITS, children_max=1, is_background=False) as decoders:
        renditions = await all_four(decoders, encoded(picture(500, 300, "CMYK"), "JPEG"))

    for made in renditions.values():
        red, green, blue = pixel(made.body, 0.1, 0.1)
        assert read(made.body).mode == "RGB"
        assert red > 180
        assert max(green, blue) < 90


@pytest.mark.parametrize("mode", ["L", "16", "1", "P", "LA"])
async def test_every_depth_becomes_eight_bits_of_srgb(decoders: Decoders, mode: str) -> None:
    """Grey, 16-bit, 1-bit and palette images become RGB with eight bits for each band."""
    grey = Image.new("L", (300, 200), 0)
    grey.paste(255, (0, 0, 150, 100))
    original = encoded(grey if mode == "16" else grey.convert(mode), "PNG")
    if mode == "16":
        deep = (pyvips.Image.new_from_buffer(original, "") * 257).cast("ushort")
        original = deep.copy(interpretation="grey16").pngsave_buffer()

    for made in (await all_four(decoders, original)).values():
        assert read(made.body).mode == "RGB"
        assert is_near((255, 255, 255), pixel(made.body, 0.1, 0.1))
        assert is_near((0, 0, 0), pixel(made.body, 0.9, 0.9))


def half_transparent() -> bytes:
    image = Image.new("RGBA", (300, 200), (10, 10, 250, 255))
    image.paste((0, 0, 0, 0), (0, 0, 150, 200))
    return encoded(image, "PNG")


async def test_transparency_turns_white_in_jpeg(decoders: Decoders) -> None:
    """JPEG has no transparency; if it were only dropped, these pixels would be black."""
    for made in (await all_four(decoders, half_transparent())).values():
        assert is_near((255, 255, 255), pixel(made.body, 0.1, 0.5))
        assert is_near(BLUE, pixel(made.body, 0.9, 0.5))


async def test_transparency_stays_in_webp(webp_decoders: Decoders) -> None:
    """WebP has transparency, so nothing is painted under it."""
    for made in (await all_four(webp_decoders, half_transparent())).values():
        assert read(made.body).format == "WEBP"
        assert pixel(made.body, 0.1, 0.5, "RGBA")[3] == 0
        assert is_near((*BLUE, 255), pixel(made.body, 0.9, 0.5, "RGBA"))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
async def test_the_same_original_makes_the_same_bytes(decoders: Decoders, image_format: str) -> None:
    """So a repeat, after a crash or by another worker, writes the same objects again."""
    original = encoded(picture(600, 400), image_format)

    assert await all_four(decoders, original) == await all_four(decoders, original)


async def test_a_progressive_jpeg_and_an_interlaced_png_look_as_others_do(decoders: Decoders) -> None:
    """The order in which the original stores its pixels does not change the rendition."""
    for original in (
        encoded(picture(1500, 1000), "JPEG", progressive=True, quality=90),
        pyvips.Image.new_from_buffer(png(1500, 1000), "").pngsave_buffer(interlace=True),
    ):
        made = (await decoders.full(original))["large"]
        assert (made.width, made.height) == (1080, 720)
        assert is_near(RED, pixel(made.body, 0.1, 0.1))


async def test_a_rendition_is_named_after_its_bytes(decoders: Decoders) -> None:
    """The name is immutable: other bytes have another name."""
    made = await decoders.thumbnail(jpeg())
    digest = sha256(made.body).hexdigest()
    keys = ObjectKeys("shutterline/")

    assert digest == made.sha256
    key = keys.rendition(PhotoId(17), "thumbnail", made.sha256, RenditionFormat.JPEG.suffix)
    assert f"shutterline/renditions/17/thumbnail-{digest}.jpg" == key
    assert keys.photo_of(key) == 17


async def test_what_a_decoder_used_is_observed(decoders: Decoders) -> None:
    """Each decoder reports one cost with the original's pixels, for the time per megapixel."""
    COSTS.clear()

    await decoders.thumbnail(jpeg(400, 300))

    [cost] = COSTS
    assert cost.pixels == 120_000
    assert cost.cpu_ms > 0
    assert cost.peak_rss_bytes > 0
