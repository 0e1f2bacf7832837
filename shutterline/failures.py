"""What a command says when it fails: one plain sentence with what to do next, without a traceback.

An error that is not known here is a bug of ours and keeps its traceback.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from shutterline.terminal import terminal

if TYPE_CHECKING:  # Importing the settings takes longer than showing the help.
    from streams.settings import KafkaSettings, Settings

CONNECT_S = 3.0
INTERRUPTED = 130  # 128 plus the number of SIGINT, as in shells.


class CommandFailed(Exception):
    """Shown to the user as it is, without a traceback."""


def _print_in_red(sentence: str) -> None:
    terminal(stderr=True).print(sentence, style="red", soft_wrap=True)


@contextmanager
def plain_failures(*told: type[Exception], say: Callable[[str], None] = _print_in_red) -> Iterator[None]:
    """Turn failures into a sentence, which `say` gets, and exit code 1; a Ctrl-C into exit code 130.

    `told` are further exceptions whose message is such a sentence. Used as a decorator of commands.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:  # A failure becomes a sentence here; a bug is raised again.
        sentence = str(error) if isinstance(error, told) else sentence_for(error)
        if sentence is None:
            raise
        say(sentence)
        raise typer.Exit(1) from None


def sentence_for(error: Exception) -> str | None:
    """What to tell the user, or None when it is a bug of ours."""
    # Imported here: the clients' packages take longer to import than most commands to run.
    from confluent_kafka import KafkaException
    from pydantic import ValidationError

    from schemas.sentences import validation_sentences
    from streams.errors import StoreMisconfigured, StoreUnavailable
    from topics.sizes import TopicMismatch

    if isinstance(error, CommandFailed | TopicMismatch | StoreMisconfigured):
        return str(error)
    if isinstance(error, StoreUnavailable):
        return f"{error}. Look at `shutterline status`, or try again."
    if isinstance(error, KafkaException):
        return f"Kafka did not do what was asked: {error}. Look at `shutterline status`, or try again."
    if isinstance(error, ValidationError):
        rules = validation_sentences(error, name_of=_setting)
        return f"Not valid: {'; '.join(rules)}. Correct it and try again."
    return None


def _setting(location: Sequence[int | str]) -> str:
    """The environment variable of a setting; empty for a rule about several."""
    return f"SHUTTERLINE_{'_'.join(map(str, location)).upper()}" if location else ""


def load_settings() -> "Settings":
    """The settings of this run of a command; see `streams.settings.load`."""
    from streams.settings import load

    return load()


async def require(**addresses: str) -> None:
    """Find out within seconds whether each server is there: `await require(kafka=settings.kafka)`.

    The clients themselves would retry for minutes, because a worker must.

    Raises:
        CommandFailed: One does not answer; names its address and what to do.
    """
    silent = [
        f"{name} at {address.rpartition('@')[2]}"  # Without the user and password of a URL.
        for name, address in addresses.items()
        if not await _responds(address)
    ]
    if silent:
        raise CommandFailed(
            f"No answer from {' and '.join(silent)}. Start the local stack with `make up`, "
            "or say where it is with SHUTTERLINE_KAFKA, _CASSANDRA, _REDIS and _API."
        )


async def require_kafka(settings: "KafkaSettings") -> None:
    """Like `require`, for Kafka; and find out whether it lets us in, which its clients would try for minutes.

    Raises:
        StoreMisconfigured: It never will with these settings.
    """
    from streams.kafka.producing.access import require_access
    from streams.threads import in_thread

    await require(kafka=settings.kafka)
    await in_thread(require_access, settings)


async def _responds(address: str) -> bool:
    """Whether one of the hosts, with commas between, accepts a connection."""
    for host in address.split(","):
        parts = urlsplit(host if "://" in host else f"//{host}")
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except (OSError, TimeoutError):
            continue
        writer.close()
        return True
    return False
