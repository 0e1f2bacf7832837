"""The keys of this system's own objects in the media bucket; all are under one prefix.

    PREFIX/originals/PHOTO_ID                       an original that was uploaded over HTTP
    PREFIX/renditions/PHOTO_ID/NAME-SHA256.jpg      a rendition of an original from anywhere

All other keys belong to upstream apps and are never written or removed.
"""

import re
from dataclasses import dataclass

from schemas.ids import PhotoId, parse_id

_OWN = re.compile(
    r"originals/(?P<original>[1-9][0-9]{0,18})"
    r"|renditions/(?P<rendition>[1-9][0-9]{0,18})/[a-z]+-[0-9a-f]{64}\.[a-z]+"
)


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """The keys under one `prefix`, which ends with a slash."""

    prefix: str

    def original(self, photo: PhotoId) -> str:
        return f"{self.prefix}originals/{photo}"

    def renditions(self, photo: PhotoId) -> str:
        """The prefix of all renditions of a photo."""
        return f"{self.prefix}renditions/{photo}/"

    def rendition(self, photo: PhotoId, name: str, sha256: str, extension: str) -> str:
        """The key of an immutable object: other bytes get another hexadecimal `sha256`."""
        return f"{self.renditions(photo)}{name}-{sha256}.{extension}"

    def photo_of(self, object_key: str) -> PhotoId | None:
        """The photo that the object belongs to; None if the key is not one of ours."""
        if not object_key.startswith(self.prefix):
            return None
        match = _OWN.fullmatch(object_key, len(self.prefix))
        if match is None:
            return None
        return PhotoId(parse_id(match["original"] or match["rendition"]))
