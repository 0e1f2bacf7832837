"""A lock, so that only one command at a time changes a stack."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.paths import Home


@contextmanager
def exclusive(home: Path, waiting: Callable[[str], object] = print) -> Iterator[None]:
    """Hold the lock of the stack in `home`; if another command holds it, tell `waiting` and wait.

    The kernel releases the lock when its holder ends, also after a kill. The servers do not inherit it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with Home(home).lock_file.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting(f"another command is working on {home}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
