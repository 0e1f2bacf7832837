"""A store that can be made to refuse."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

Refusal = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Refusing:
    """`environment` leads a deployment to the store; it refuses while a context of `refusals` is open."""

    environment: Mapping[str, str]
    refusals: Mapping[str, Refusal]
