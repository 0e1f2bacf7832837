"""A store that can be made to refuse, and a small disk that can be filled."""

import errno
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infra.local.paths import private_folder

Refusal = Callable[[], AbstractContextManager[None]]
MIB = 1024 * 1024
FILLED_AT_ONCE_BYTES = MIB // 4


@dataclass(frozen=True, slots=True)
class Refusing:
    """`environment` leads a deployment to the store; it refuses while a context of `refusals` is open."""

    environment: Mapping[str, str]
    refusals: Mapping[str, Refusal]


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system of `size_bytes` on `folder`; this needs root."""
    private_folder(folder)
    options = f"size={size_bytes},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill the disk with a file, also while a server writes to it."""
    file = disk / "filled"
    try:
        with file.open("wb", buffering=0) as fill:
            while not is_full(fill):
                pass
        yield
    finally:
        file.unlink()


def is_full(fill: BinaryIO) -> bool:
    """Write some more, and return whether there was no room for it."""
    try:
        fill.write(bytes(FILLED_AT_ONCE_BYTES))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return True
    return False
