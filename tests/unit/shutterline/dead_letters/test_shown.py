"""Dead letters on a terminal: everything in them is data, whatever its bytes are."""

from collections import Counter
from dataclasses import replace

import orjson
import pytest

from schemas.printable import value_text
from shutterline.commands.dead_letters.shown import show_counts, show_letter, show_listing, write_listing
from shutterline.terminal import terminal
from streams.core.dead_letters import Obstacle
from streams.jobs.dead_letters.listing import Listing
from streams.jobs.dead_letters.run import Counts
from streams.ports.coordination import Outcome
from tests.unit.streams.jobs.dead_letters.letters import NOW_MS, letter

HOSTILE = b"\x1b]0;owned\x07\xff[red]"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null, so the record has none"),
        (b"", ""),
        (b'{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'),
        (b'{"id":123456789012345678901}', '{\n  "id": 123456789012345678901\n}'),
        (b"\xff\xfeA", "00000000  ff fe 41                                         ..A"),
        ('{"a":1}'.encode("utf-16"), None),
        (b"[" * 100_000, None),
        (b"9" * 5_000, None),
    ],
)
def test_a_value_is_json_with_indents_or_hex(value: bytes | None, text: str | None) -> None:
    """Integers beyond 64 bits stay as they are. What the pipeline does not take as JSON is hex."""
    shown = value_text(value)

    if text is None:
        assert shown.startswith("00000000  ")
    else:
        assert text == shown


def test_nothing_in_a_letter_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Key, headers and value; names of headers, too."""
    hostile = letter(0, key=HOSTILE, value=HOSTILE, headers=[("x\x1b[2J", HOSTILE), ("trace", None)])
    show_letter(hostile, Outcome.REPLAYED, terminal())
    json = letter(0, value=b'{"caption": "\\u001b[2J\\u202e"}')
    show_letter(json, None, terminal())

    shown = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in shown)
    for part in (
        "replayed",
        "waiting",
        "not_json",
        r"\x1b]0;owned\x07\xff[red]",
        "trace",
        "null",
        "1b 5d 30",
    ):
        assert part in shown


def listing() -> Listing:
    made = Listing(newest_max=2)
    made.add(letter(0), None)
    made.add(letter(1, failed_ms=NOW_MS + 1, key=None), None)
    made.add(replace(letter(2), failure=None), Outcome.DISCARDED)
    return made


def test_the_list_shows_groups_and_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    show_listing(listing(), terminal())

    header, foreign, known, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert ["topic", "reason", "waiting", "replayed", "discarded", "oldest", "newest"] == header[:7]
    assert ["likes", "none", "0", "0", "1", "-", "-"] == foreign
    assert ["likes", "not_json", "2", "0", "0", "2027-01-15T08:00:00.000000Z"] == known[:6]
    assert ["2027-01-15T08:00:00.001000Z", "likes", "0", "1", "not_json,"] == first[:5]
    assert "0" == second[3]


def test_the_list_as_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    write_listing(listing())

    written = orjson.loads(capsys.readouterr().out)
    assert [("none", 0, 1), ("not_json", 2, 0)] == [
        (group["reason"], group["waiting"], group["discarded"]) for group in written["groups"]
    ]
    assert written["newest"][1] == {
        "topic": "likes",
        "partition": 0,
        "offset": 0,
        "failed_at": "2027-01-15T08:00:00.000000Z",
        "reason": "not_json",
        "error": "the value is 0, but must be JSON",
        "attempt": 1,
        "key": "7",
    }


def test_counts_say_what_was_done_and_what_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts(Counter({("likes", "not_json"): 1_200}), Counter({Obstacle.ATTEMPTS: 3}), 4)
    show_counts(counts, "replayed", terminal())
    show_counts(Counts(), "would be discarded", terminal())

    assert capsys.readouterr().out.splitlines() == [
        "1,200 of likes with not_json replayed",
        "3 left: all attempts used",
        "4 were replayed or discarded before",
        "0 would be discarded",
    ]
