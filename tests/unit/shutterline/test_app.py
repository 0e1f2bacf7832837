"""The command line: help has examples, input is checked, and errors are sentences, not
tracebacks."""

import subprocess
import sys
from pathlib import Path

import jwt
import pytest
import typer
from typer.testing import CliRunner, Result

from infra.local.errors import StackError
from infra.local.paths import PROJECT
from shutterline import app as command_line
from shutterline.failures import CommandFailed, plain_failures
from streams.errors import StoreUnavailable
from streams.settings import Settings

SECRET = "a secret of more than thirty-two bytes"
STACK = ["up", "down", "status", "clean", "rotate-media-key", "demo"]
RUNNING = ["migrate", "worker", "api", "monitor", "warm", "resume", "rebuild", "warm-timelines"]
REPAIRS = ["clean-media", "audit"]
COMMANDS = [*STACK, *RUNNING, *REPAIRS, "load", "token", "upload", "feed", "inspect", "lag", "check"]
CHANGES = ["user.followed", "user.unfollowed", "photo.liked", "photo.unliked"]
EVENTS = ["photo.uploaded", "photo.deleted", *CHANGES]
GROUPS = {
    "publish": EVENTS,
    "revoke": ["key", "user", "token"],
    "topics": ["grow", "renew"],
    "dead-letters": ["list", "show", "replay", "discard"],
}


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands must not find a stack that runs on this machine."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SHUTTERLINE_{name.upper()}", raising=False)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line.app, arguments, env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.mark.parametrize(
    "command",
    [*[[name] for name in COMMANDS], *[[group, name] for group, names in GROUPS.items() for name in names]],
    ids=" ".join,
)
def test_every_command_shows_an_example_of_itself(command: list[str]) -> None:
    """`--help` ends with a command line that can be copied."""
    shown = _run(*command, "--help")

    assert shown.exit_code == 0
    assert f"shutterline {' '.join(command)}" in shown.output.split("Example: ")[1]


def test_no_command_is_left_out_of_these_tests() -> None:
    """A new command must be in this list, so that its example is checked."""
    assert sorted([*COMMANDS, *GROUPS]) == sorted(command_line.COMMANDS)


def test_help_imports_no_client_of_a_store() -> None:
    """These imports take seconds, and help should be shown at once."""
    show = "import sys, shutterline.app; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", show], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert not {"pydantic", "confluent_kafka", "cassandra", "redis", "aiohttp"} & set(shown.stdout.split())


def test_a_token_is_all_that_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the command can be used in `$(…)`."""
    monkeypatch.setenv("SHUTTERLINE_JWT_SECRET", SECRET)

    result = _run("token", "7", "--role", "ops", "--life", "60")

    claims = jwt.decode(result.output.removesuffix("\n"), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("7", ["ops"], 60)


def test_without_a_secret_no_token_is_made() -> None:
    """The error says how to get a secret."""
    result = _run("token", "7")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no local secret" in result.stderr
    assert "make up" in result.stderr


@pytest.mark.parametrize("life", ["0", "-5", "86401"])
def test_a_tokens_life_has_bounds(monkeypatch: pytest.MonkeyPatch, life: str) -> None:
    """The API refuses a token that is valid for longer than a day."""
    monkeypatch.setenv("SHUTTERLINE_JWT_SECRET", SECRET)

    result = _run("token", "7", "--life", life)

    assert result.exit_code == 1
    assert f"life is {life} s, but must be 1 to 86400 s" in result.stderr


@pytest.mark.parametrize("user", ["abc", "0", "1.0", "9223372036854775808", " 7"])
@pytest.mark.parametrize("command", [["token"], ["feed"], ["rebuild"], ["inspect", "user"]], ids=" ".join)
def test_an_id_that_is_none_is_named_with_the_rule(command: list[str], user: str) -> None:
    """All commands use the same rule for ids."""
    result = _run(*command, user)

    assert result.exit_code == 2
    assert f"id is '{user}', but must be an integer from 1 to 9223372036854775807" in result.output


@pytest.mark.parametrize("arguments", [[], ["7", "--all"]])
def test_rebuild_takes_either_users_or_all(arguments: list[str]) -> None:
    """Neither of them is an error, and so are both."""
    result = _run("rebuild", *arguments)

    assert result.exit_code == 1
    assert "either the ids of users or --all" in result.stderr


def test_a_role_that_there_is_not_is_named() -> None:
    """The error also lists the roles that exist."""
    result = _run("worker", "--roles", "check,chess")

    assert result.exit_code == 1
    assert "'chess' is no role; choose among check, edges, normal, bulk, thumbnail, full" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "roles"),
    [
        ([], "check edges normal bulk"),
        (["--media"], "thumbnail full"),
        (["--roles", "full,check"], "full check"),
    ],
)
def test_a_worker_has_the_roles_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], roles: str
) -> None:
    """By default a worker handles events. With `--media` it makes renditions. With `--roles` it has
    the given roles."""
    begun: list[str] = []

    async def run_worker(chosen: list[str]) -> None:
        begun.extend(chosen)

    monkeypatch.setattr("streams.worker.run.run_worker", run_worker)
    result = _run("worker", *arguments)

    assert (0, roles.split()) == (result.exit_code, begun), result.output


def test_a_worker_takes_either_media_or_roles() -> None:
    """Both together are an error."""
    result = _run("worker", "--media", "--roles", "check")

    assert result.exit_code == 1
    assert "either --media or --roles" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (
            ["user.followed", "--follower", "x", "--followee", "2"],
            "follower_id is 'x', but must be an integer",
        ),
        (["user.unfollowed", "--follower", "2", "--followee", "2"], "2 cannot follow itself"),
        (["photo.liked", "--photo", "0", "--user", "2"], "photo_id is '0'"),
        (["photo.uploaded", "--author", "x"], "author_id is 'x'"),
        (["photo.uploaded", "--author", "7", "--content-type", "text/html"], "content_type is 'text/html': "),
        (["photo.uploaded", "--author", "7", "--caption", "a" * 2_201], "caption is 'aaa"),
    ],
)
def test_an_event_that_would_be_a_dead_letter_is_not_published(arguments: list[str], rule: str) -> None:
    """The models of the events check it before the command connects to Kafka."""
    result = _run("publish", *arguments)

    assert result.exit_code == 1
    assert "Nothing was published. " in result.stderr
    assert rule in result.stderr


def test_a_setting_that_is_not_valid_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the name of the environment variable."""
    monkeypatch.setenv("SHUTTERLINE_TIMELINE_IDS", "many")

    result = _run("token", "7")

    assert result.exit_code == 1
    assert "SHUTTERLINE_TIMELINE_IDS is 'many': " in result.stderr


@pytest.mark.parametrize(
    ("error", "told", "said"),
    [
        (CommandFailed("do this"), (), "do this"),
        (StackError("do that"), (StackError,), "do that"),
        (StoreUnavailable("redis", "read", "it is away"), (), "redis did not answer read: it is away"),
    ],
)
def test_what_a_user_can_mend_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], error: Exception, told: tuple[type[Exception], ...], said: str
) -> None:
    """The sentence is written to standard error, and the exit code is 1."""
    with pytest.raises(typer.Exit) as ended, plain_failures(*told):
        raise error

    assert ended.value.exit_code == 1
    assert said in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    """An engineer needs the traceback to correct the bug."""
    with pytest.raises(KeyError), plain_failures():
        raise KeyError("a bug")


def test_an_interrupt_is_no_failure() -> None:
    """The exit code is 130, as shells expect after Ctrl-C."""
    with pytest.raises(typer.Exit) as ended, plain_failures():
        raise KeyboardInterrupt

    assert ended.value.exit_code == 130
