"""Which dead letters a command is about. An invalid value is a sentence with the value and the rule."""

from typing import Annotated

import typer

from schemas.envelope import Reason
from schemas.quoting import quoted
from schemas.times import parse_rfc3339_us
from shutterline.failures import CommandFailed
from streams.core.dead_letters import Selection
from streams.jobs.dead_letters.choice import Choice
from topics.catalogue import Topic, dead_letter_of, topics_with_dead_letters

BY_CHARS_MAX = 128

Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help="uploads, follows or likes; may be repeated. By default all."),
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", help="A reason, such as not_json; may be repeated.")
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="RFC 3339; those that failed at this time or later.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; those that failed before it.")]
Key = Annotated[str | None, typer.Option(help="Those with this key, such as 7.")]


def chosen(
    topics: list[str] | None, reasons: list[str] | None, since: str | None, until: str | None, key: str | None
) -> Choice:
    """Return what the options mean.

    Raises:
        CommandFailed: One of them is invalid.
    """
    named = tuple(dict.fromkeys(map(topic_named, topics))) if topics else topics_with_dead_letters()
    since_us, until_us = time_us("--since", since), time_us("--until", until)
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise CommandFailed(f"--since is {quoted(since)}, but must be before --until, {quoted(until)}.")
    selection = Selection(
        reasons=frozenset(map(reason_named, reasons or ())),
        since_us=since_us,
        until_us=until_us,
        key=None if key is None else key.encode("utf-8", "surrogateescape"),
    )
    return Choice(named, selection)


def topic_named(name: str) -> Topic:
    """The topic of that name, or whose dead-letter topic has it.

    Raises:
        CommandFailed: There is none.
    """
    topics = topics_with_dead_letters()
    for topic in topics:
        if name in (topic.name, dead_letter_of(topic).name):
            return topic
    names = ", ".join(topic.name for topic in topics)
    raise CommandFailed(f"The topic is {quoted(name)}, but must be one of {names}.")


def reason_named(name: str) -> str:
    """The reason.

    Raises:
        CommandFailed: There is none of that name.
    """
    if name not in set(Reason):
        raise CommandFailed(f"--reason is {quoted(name)}, but must be one of {', '.join(Reason)}.")
    return name


def time_us(option: str, text: str | None) -> int | None:
    """The time in microseconds since 1970.

    Raises:
        CommandFailed: The text is no RFC 3339 time.
    """
    if text is None:
        return None
    try:
        return parse_rfc3339_us(text, option)
    except ValueError as error:
        raise CommandFailed(f"{error}.") from None


def whole_number(name: str, text: str, most: int) -> int:
    """A number from 0 to `most`.

    Raises:
        CommandFailed: The text is something else.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise CommandFailed(f"{name} is {quoted(text)}, but must be a whole number from 0 to {most}.")
    return int(text)


def person(name: str) -> str:
    """Who does it.

    Raises:
        CommandFailed: The name is empty, too long or cannot be printed.
    """
    if not name or len(name) > BY_CHARS_MAX or not name.isprintable():
        raise CommandFailed(
            f"--by is {quoted(name)}, but must have 1 to {BY_CHARS_MAX} characters, all of them printable."
        )
    return name


def key_text(key: bytes) -> str:
    """The key as text; bytes that are not UTF-8 are escaped."""
    return key.decode("utf-8", "backslashreplace")
