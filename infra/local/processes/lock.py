"""One command at a time works on a stack."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.paths import Home


@contextmanager
def exclusive(home: Path, waiting: Callable[[str], object] = print) -> Iterator[None]:
    """Hold the stack in `home`, telling `waiting` first if another command holds it.

    The kernel lets go when the holder ends, however it ends; the servers do not inherit the hold.
    """
    home.mkdir(parents=True, exist_ok=True)
    with Home(home).lock_file.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting(f"another command is working on {home}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
