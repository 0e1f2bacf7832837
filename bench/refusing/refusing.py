"""A store that can be made to refuse, and a small disk that can be filled."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.paths import private_folder

Refusal = Callable[[], AbstractContextManager[None]]
MIB = 1024 * 1024


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
def filled(disk: Path, *, share: float = 1.0) -> Iterator[None]:
    """Fill `share` of the disk with a file."""
    file = disk / "filled"
    bounds = os.statvfs(disk)
    used = bounds.f_blocks - bounds.f_bfree
    blocks = max(0, min(bounds.f_bavail, int(bounds.f_blocks * share) - used))
    try:
        with file.open("wb") as fill:
            os.posix_fallocate(fill.fileno(), 0, blocks * bounds.f_frsize)
        yield
    finally:
        file.unlink()
