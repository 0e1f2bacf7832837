"""Real photos and hostile files of a folder with an `images.tsv` that says what each is."""

import csv
import struct
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from shutterline.client.upload import PhotoFile

CONTENT_TYPES = {"jpegload": "image/jpeg", "pngload": "image/png", "webpload": "image/webp"}
HEAVY_BYTES, PAD_BYTES = 5_500_000, 65_000  # More than one part of 5 MiB.
SIDE_MAX, PIXELS_MAX = 16_384, 50_000_000
# EXIF orientations that exchange width and height.
TURNED = frozenset("5678")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file, and its size as displayed; `is_good` if the pipeline must accept it as a photo."""

    file: PhotoFile
    width: int
    height: int
    is_good: bool


def listed(folder: Path) -> list[Listed]:
    """Return every file that the table names and that is not empty."""
    with (folder / "images.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    return [_listed(folder, row) for row in rows if (folder / row["path"]).stat().st_size]


def heavy(photo: Listed, folder: Path) -> Listed:
    """Write a copy of the photo to `folder`, with so much metadata that it is uploaded in parts.

    Raises:
        ValueError: It is neither JPEG nor PNG.
    """
    body = photo.file.path.read_bytes()
    pads = -(-HEAVY_BYTES // PAD_BYTES)
    match photo.file.content_type:
        case "image/jpeg":  # Comment segments, after the start-of-image marker.
            pad = b"\xff\xfe" + struct.pack(">H", PAD_BYTES + 2) + bytes(PAD_BYTES)
            body = body[:2] + pads * pad + body[2:]
        case "image/png":  # Private chunks, after the header chunk.
            chunk = b"prVt" + bytes(PAD_BYTES)
            pad = struct.pack(">I", PAD_BYTES) + chunk + struct.pack(">I", crc32(chunk))
            body = body[:33] + pads * pad + body[33:]
        case other:
            raise ValueError(f"{photo.file.path} is {other}, but only JPEG and PNG are made heavy")
    digest = sha256(body).hexdigest()
    path = folder / f"{digest[:16]}-{photo.file.path.name}"
    path.write_bytes(body)
    return replace(photo, file=replace(photo.file, path=path, size_bytes=len(body), digest=digest))


def _listed(folder: Path, row: dict[str, str]) -> Listed:
    path = folder / row["path"]
    body = path.read_bytes()
    width, height = int(row["width"] or 0), int(row["height"] or 0)
    if row["orientation"] in TURNED:
        width, height = height, width
    # A file of any other type is uploaded as a JPEG, as an attacker would do.
    content_type = CONTENT_TYPES.get(row["loader"], "image/jpeg")
    is_good = (
        row["loader"] in CONTENT_TYPES
        and row["libvips_8.18_fail_on_error"] == "ok"
        and row["pages"] in ("", "1")
        and b"acTL" not in body  # An animated PNG, which the table lists like a still one.
        and max(width, height) <= SIDE_MAX
        and width * height <= PIXELS_MAX
    )
    return Listed(PhotoFile(path, len(body), content_type, sha256(body).hexdigest()), width, height, is_good)
