"""The contact sheet of a feed."""

from typing import Any

from schemas.ids import UserId
from shutterline.contact_sheet import contact_sheet


def item(**changed: Any) -> dict[str, Any]:
    made = {
        "large": {"url": "http://edge/l?a=1&b=2", "width": 1080, "height": 720},
        "thumbnail": {"url": "http://edge/t", "width": 150, "height": 100},
    }
    return {
        "photo_id": "123",
        "author_id": "7",
        "caption": "Evening",
        "created_at": "2026-03-01T12:00:00Z",
        "like_count": 3,
        "liked": True,
        "status": "ready",
        "reason": None,
        "renditions": made,
        **changed,
    }


def sheet(*items: dict[str, Any]) -> str:
    return contact_sheet(UserId(9), {"items": list(items), "completeness": "complete"})


def test_a_picture_shows_its_thumbnail_and_opens_its_largest() -> None:
    """The HTML also tells browsers of all other sizes."""
    page = sheet(item())

    assert 'href="http://edge/l?a=1&amp;b=2"' in page
    assert 'src="http://edge/t"' in page
    assert "http://edge/t 150w, http://edge/l?a=1&amp;b=2 1080w" in page


def test_what_users_write_stays_text() -> None:
    """A caption is escaped, so it cannot be HTML."""
    page = sheet(item(caption='<script>alert("x")</script>'))

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_photo_without_pictures_says_why() -> None:
    """The photo is still processing, or was rejected."""
    page = sheet(item(status="rejected", reason="broken", renditions={}))

    assert "rejected: broken" in page
    assert "<img" not in page


def test_an_empty_feed_says_so() -> None:
    """Otherwise the page would be blank."""
    assert "There is nothing in it yet." in sheet()
