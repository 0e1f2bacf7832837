"""A record as the page shows it: whatever its publisher wrote, a bounded text."""

import pytest

from api.ops import records
from api.ops.records import HEADERS_MAX, TEXT_CHARACTERS_MAX, VALUE_CHARACTERS_MAX, Json, record_of
from schemas.dead_letter_headers import Headers
from schemas.printable import printable, value_text
from streams.jobs.records import StoredRecord


def shown(*, value: bytes | None = None, headers: Headers = (), key: bytes | None = None) -> Json:
    record = StoredRecord(offset=1, timestamp_ms=1, key=key, value=value, headers=headers)
    return record_of(record, value_bytes_max=16_384)


@pytest.mark.parametrize("number", [0, HEADERS_MAX, HEADERS_MAX + 1, 10_000])
def test_a_few_headers_are_shown_and_the_others_counted(number: int) -> None:
    record = shown(headers=[(f"h{at}", b"") for at in range(number)])

    assert [(f"h{at}", "") for at in range(min(number, HEADERS_MAX))] == record["headers"]
    assert max(0, number - HEADERS_MAX) == record["headers_left_out"]


@pytest.mark.parametrize("text", ["x" * 500, "é" * 500, "\U0001f600" * 500])
def test_texts_of_the_most_characters_are_whole(text: str) -> None:
    record = shown(headers=[(text, text.encode())], key=text.encode())

    assert [(text, text)] == record["headers"]
    assert text == record["key"]


@pytest.mark.parametrize("text", ["x" * 501, "x" * 1_000_000, "\U0001f600" * 501, "\0" * 126])
def test_longer_texts_are_cut_also_if_escapes_make_them_long(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are cut before they are escaped, which costs time for each character."""
    escaped: list[int] = []

    def noting(text: str) -> str:
        escaped.append(len(text))
        return printable(text)

    monkeypatch.setattr(records, "printable", noting)
    record = shown(headers=[(text, text.encode())], key=text.encode())

    [(name, content)] = record["headers"]
    for cut in (name, content, record["key"]):
        assert TEXT_CHARACTERS_MAX + 1 == len(cut)
        assert cut.endswith("…")
    assert max(escaped) <= 4 * (TEXT_CHARACTERS_MAX + 1)


def test_nested_json_does_not_become_megabytes() -> None:
    """16 kB of it would be 14 MB with its indents."""
    nested = b"[" * 900 + b"1," * 7_000 + b"1" + b"]" * 900
    value = shown(value=nested)["value"]

    assert len(value) < VALUE_CHARACTERS_MAX + 100
    assert "the rest is left out" in value
    assert len(value_text(nested, 1_000)) < 4_000


def test_a_value_in_bytes_is_whole() -> None:
    value = shown(value=b"\xff" * 16_384)["value"]

    assert 16_384 // 16 == len(value.split("\n"))
    assert "left out" not in value
