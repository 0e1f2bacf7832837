"""Real photos and hostile files of a folder with an `images.tsv` that says what each is."""

import csv
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from streams.jobs.upload_client import PhotoFile

CONTENT_TYPES = {"jpegload": "image/jpeg", "pngload": "image/png", "webpload": "image/webp"}
SIDE_MAX, PIXELS_MAX = 16_384, 50_000_000
# Orientations that lie on their side.
TURNED = frozenset("5678")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file, and the size in which it is looked at; `is_good` where a photo must come of it."""

    file: PhotoFile
    width: int
    height: int
    is_good: bool


def listed(folder: Path) -> list[Listed]:
    """Every file that the table names and that has a byte."""
    with (folder / "images.tsv").open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    return [_listed(folder, row) for row in rows if (folder / row["path"]).stat().st_size]


def _listed(folder: Path, row: dict[str, str]) -> Listed:
    path = folder / row["path"]
    body = path.read_bytes()
    width, height = int(row["width"] or 0), int(row["height"] or 0)
    if row["orientation"] in TURNED:
        width, height = height, width
    # What is not of our kinds says that it is a JPEG, as an attacker would.
    content_type = CONTENT_TYPES.get(row["loader"], "image/jpeg")
    is_good = (
        row["loader"] in CONTENT_TYPES
        and row["libvips_8.18_fail_on_error"] == "ok"
        and row["pages"] in ("", "1")
        and max(width, height) <= SIDE_MAX
        and width * height <= PIXELS_MAX
    )
    return Listed(PhotoFile(path, len(body), content_type, sha256(body).hexdigest()), width, height, is_good)
