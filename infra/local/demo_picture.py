"""The demo's one picture, in the sizes that a publisher with renditions of its own would send."""

from typing import Any

from schemas.facts import Rendition
from streams.settings import Settings
from streams.stores.s3_bucket import s3_client

SIDES = {"thumbnail": 150, "small": 320, "medium": 640, "large": 1_080}
CONTENT_TYPE = "image/jpeg"
S3_TIMEOUT_S = 30.0


def key_of(name: str) -> str:
    return f"demo/{name}.jpg"


async def put_picture(settings: Settings) -> dict[str, Rendition]:
    """Draw it and put every size into the media bucket; the renditions as events name them."""
    renditions = {}
    async with s3_client(settings, S3_TIMEOUT_S) as client:
        for name, side in SIDES.items():
            picture = _draw(side)
            body = picture.jpegsave_buffer(Q=80)
            await client.put_object(
                Bucket=settings.s3_bucket, Key=key_of(name), Body=body, ContentType=CONTENT_TYPE
            )
            renditions[name] = Rendition(object_key=key_of(name), width=picture.width, height=picture.height)
    return renditions


def _draw(width: int) -> Any:
    """An evening sky: blue above, orange below, a sun."""
    import pyvips  # type: ignore[import-untyped]

    height = width * 2 // 3
    places = pyvips.Image.xyz(width, height)
    depth = places[1] / height
    sun = ((places[0] - width * 0.7) ** 2 + (places[1] - height * 0.6) ** 2) ** 0.5 < height * 0.12
    sky = (depth * 200 + 55).bandjoin([depth * 90 + 60, 170 - depth * 130])
    return sun.ifthenelse([255, 236, 170], sky).cast("uchar").copy(interpretation="srgb")
