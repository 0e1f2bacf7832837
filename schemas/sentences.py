"""Validation errors in words: one sentence for each broken rule, with the field and its value."""

from collections.abc import Callable, Sequence

from pydantic import ValidationError

from schemas.quoting import quoted


def dotted(location: Sequence[int | str]) -> str:
    """A field's name with the fields that it is in: `renditions.thumbnail.width`."""
    return ".".join(str(part) for part in location)


def validation_sentences(
    error: ValidationError, *, name_of: Callable[[Sequence[int | str]], str] = dotted
) -> list[str]:
    """Return a sentence for each broken rule, by field; `name_of` returns a location's name.

    A rule about the whole model has no field name; its own message is the sentence.
    """
    sentences = []
    for broken in error.errors(include_url=False, include_context=False):
        name, rule = name_of(broken["loc"]), broken["msg"].removeprefix("Value error, ")
        if broken["type"] == "missing":
            sentences.append(f"{name} is missing, but is required")
        # The parsers of ids and times already put the field and its value into the message.
        elif not name or rule.startswith(f"{name} is "):
            sentences.append(rule)
        else:
            sentences.append(f"{name} is {quoted(broken['input'])}: {rule}")
    return sentences
