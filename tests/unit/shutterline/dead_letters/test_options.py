"""`shutterline dead-letters`: what an option means, and which values are refused before anything is done."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shutterline import app as command_line
from shutterline.commands.dead_letters.options import chosen, topic_named
from streams.core.dead_letters import Selection
from tests.unit.streams.jobs.dead_letters.letters import NOW_MS, letter
from topics.catalogue import FOLLOWS, LIKES, UPLOADS

NOON, NOON_US = "2026-01-31T12:00:00Z", 1_769_860_800_000_000


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing listens at these addresses, so a command that went on would say so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHUTTERLINE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("SHUTTERLINE_CASSANDRA", "127.0.0.1:1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line.app, ["dead-letters", *arguments], env={"COLUMNS": "300"})


@pytest.mark.parametrize("command", ["list", "replay", "discard"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--topic", "fanout"], "The topic is 'fanout', but must be one of uploads, follows, likes."),
        (["--topic", ""], "The topic is '', but must be one of"),
        (["--reason", "bad"], "--reason is 'bad', but must be one of not_cloudevent, missing_attribute,"),
        (["--since", "yesterday"], "--since is 'yesterday', but must be an RFC 3339 time"),
        (["--until", "2026-01-31"], "--until is '2026-01-31', but must be an RFC 3339 time"),
        (["--since", NOON, "--until", NOON], f"--since is '{NOON}', but must be before --until"),
    ],
)
def test_an_invalid_option_is_named_with_its_rule(command: str, options: list[str], said: str) -> None:
    """Exit code 1, in a sentence, and no server was asked."""
    result = run(command, *options)

    assert (1, True) == (result.exit_code, said in result.output), result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--newest", "1001"], "--newest is '1001', but must be a whole number from 0 to 1000."),
        (["list", "--newest", "²"], "--newest is '²', but must be"),
        (["show", "edges", "0", "0"], "The topic is 'edges'"),
        (["show", "likes", "x", "0"], "PARTITION is 'x', but must be a whole number"),
        (["show", "likes", "0", "9" * 5_000], "but must be a whole number from 0 to 9223372036854775807."),
        (["show", "likes", "0", "9223372036854775808"], "OFFSET is '9223372036854775808'"),
        (["replay", "--by", ""], "--by is '', but must have 1 to 128 characters"),
        (["discard", "--by", "a\x1b[2J"], r"--by is 'a\x1b[2J', but must have"),
    ],
)
def test_an_invalid_value_of_one_command_is_named_with_its_rule(arguments: list[str], said: str) -> None:
    result = run(*arguments)

    assert (1, True) == (result.exit_code, said in result.output), result.output


def test_without_servers_the_error_says_what_to_do() -> None:
    result = run("replay", "--execute")

    assert 1 == result.exit_code
    assert "No answer from kafka at 127.0.0.1:1" in result.output


def test_the_options_say_which_letters_are_meant() -> None:
    """Twice the same topic counts once, also by the name of its dead-letter topic."""
    meant = chosen(["likes", "likes-dlq", "uploads"], ["not_json"], None, NOON, "7")

    assert (LIKES, UPLOADS) == meant.topics
    assert meant.selection == Selection(reasons=frozenset({"not_json"}), until_us=NOON_US, key=b"7")
    assert meant.said == {
        "topics": ["likes", "uploads"],
        "reasons": ["not_json"],
        "since": None,
        "until": "2026-01-31T12:00:00.000000Z",
        "key": "7",
        "ends": [],
    }


def test_without_options_all_letters_are_meant() -> None:
    assert (UPLOADS, FOLLOWS, LIKES) == chosen(None, None, None, None, None).topics
    assert Selection() == chosen(None, None, None, None, None).selection
    assert FOLLOWS is topic_named("follows")


@pytest.mark.parametrize(
    ("selection", "is_included"),
    [
        (Selection(), True),
        (Selection(reasons=frozenset({"not_json"})), True),
        (Selection(reasons=frozenset({"self_follow"})), False),
        (Selection(since_us=NOW_MS * 1_000), True),
        (Selection(since_us=NOW_MS * 1_000 + 1), False),
        (Selection(until_us=NOW_MS * 1_000 + 1), True),
        (Selection(until_us=NOW_MS * 1_000), False),
        (Selection(key=b"7"), True),
        (Selection(key=b"8"), False),
        (Selection(ends={("likes", 0): 1}), True),
        (Selection(ends={("likes", 0): 0}), False),
        (Selection(ends={("likes", 1): 1, ("follows", 0): 1}), False),
        (Selection(key=b"8", reasons=frozenset({"not_json"})), False),
    ],
)
def test_a_selection_includes_what_fits_all_of_it(selection: Selection, is_included: bool) -> None:
    """`since` is inclusive, `until` is not."""
    assert is_included is selection.includes(letter(0, failed_ms=NOW_MS, key=b"7"))
