"""The worker's side of its zygote: starts the zygote, sends it images, receives the answers."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import IO

from streams.media.wire import ANSWER_BYTES_MAX, Ending, Order, split_ending

_START_S_MAX = 30.0
_STOP_S_MAX = 5.0
_RECEIVE_BYTES = 262_144
_WRITTEN_BYTES = 1024 * 1024
_KEPT_ALLOCATION_BYTES_MAX = 32 * 1024 * 1024
_KEPT_FREE_BYTES_MAX = 512 * 1024 * 1024
_HEAP_STEP_BYTES = 8 * 1024 * 1024
_ZYGOTE_MODULE = "streams.media.zygote"


class DecodersLost(Exception):
    """The zygote ended, because of the machine or of our code. Nothing is known about the photo."""


@dataclass(frozen=True, slots=True)
class _Zygote:
    """`complaints` is its standard error: the lines of this process's own log are JSON."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    complaints: IO[bytes]

    def last_words(self) -> str:
        """Return the last line that it wrote."""
        self.complaints.seek(0)
        return self.complaints.read().decode(errors="replace").strip().rpartition("\n")[2]


class ZygoteLink:
    """One zygote at a time. It is started on demand, and replaced after it has ended."""

    def __init__(self) -> None:
        self._zygote: _Zygote | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> _Zygote:
        """Return the running zygote, or start one and return it when it is ready.

        Raises:
            DecodersLost: The zygote did not start; the message ends with the zygote's own error.
        """
        async with self._starting:
            if self._zygote is None:
                self._zygote = await _ready(_spawn())
            return self._zygote

    async def stop(self) -> None:
        """End the zygote and all its decoders; return when they are gone."""
        if self._zygote is not None:
            zygote, self._zygote = self._zygote, None
            zygote.control.close()
            await _ended(zygote.process)
            zygote.complaints.close()

    async def run(self, order: Order, original: bytes) -> tuple[memoryview, Ending]:
        """Run `order` on `original` in a decoder; return its answer and how the decoder ended.

        Cancelling the call kills the decoder.

        Raises:
            DecodersLost: The zygote ended before it reported how the decoder ended.
            OverflowError: The answer is longer than `ANSWER_BYTES_MAX`.
        """
        zygote = await self.start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # When our end is closed, also because this process was killed, the zygote notices that and
        # kills the decoder.
        with closing(ours):
            ours.setblocking(False)
            try:
                with closing(theirs):
                    async with _in_memory(original) as descriptor:
                        socket.send_fds(zygote.control, [order.pack()], [descriptor, theirs.fileno()])
                return split_ending(await _everything(ours))
            except (OSError, EOFError) as error:
                last_words = await self._forget(zygote)
                raise DecodersLost(f"the zygote of decoders ended: {error!r} {last_words}") from error

    async def _forget(self, zygote: _Zygote) -> str:
        """Kill a zygote that has failed; the next image starts another. Returns its last words, once."""
        if self._zygote is not zygote:
            return ""
        self._zygote = None
        zygote.control.close()
        zygote.process.kill()
        await _ended(zygote.process)
        with closing(zygote.complaints):
            return zygote.last_words()


@asynccontextmanager
async def _in_memory(original: bytes) -> AsyncIterator[int]:
    """Yield the descriptor of a memory file with the bytes of `original`, for the decoder."""
    descriptor = os.memfd_create("original")
    try:
        rest = memoryview(original)
        while rest:
            rest = rest[os.write(descriptor, rest[:_WRITTEN_BYTES]) :]
            # For 25 MB the kernel must allocate 6,000 pages, so other tasks run between the writes.
            await asyncio.sleep(0)
        yield descriptor
    finally:
        os.close(descriptor)


async def _everything(link: socket.socket) -> bytearray:
    received = bytearray()
    loop = asyncio.get_running_loop()
    while chunk := await loop.sock_recv(link, _RECEIVE_BYTES):
        received += chunk
        if len(received) > ANSWER_BYTES_MAX:
            raise OverflowError(f"a decoder answered more than {ANSWER_BYTES_MAX} bytes")
    return received


def _spawn() -> _Zygote:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    complaints = os.fdopen(os.memfd_create("complaints"), "w+b")
    with closing(theirs):
        descriptor = theirs.fileno()
        command = [sys.executable, "-P", "-B", "-m", _ZYGOTE_MODULE, str(descriptor), str(os.getpid())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=[descriptor],
            env=_environment(),
            # Ctrl-C must not reach the zygote; the worker ends the zygote when its own work is
            # done.
            process_group=0,
        )
    return _Zygote(process, ours, complaints)


def _environment() -> dict[str, str]:
    """Return a new environment; this process's own has the credentials of every store."""
    return {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "LANG": "C.UTF-8",
        # One thread computes an image. Several cores are used by several images.
        "VIPS_CONCURRENCY": "1",
        # libvips logs no warnings. They would fill the logs, and would displace a decoder's error
        # from the limited bytes of `Ending.complaint`.
        "VIPS_WARNING": "1",
        # One malloc arena. Each further arena would map 128 MB of address space, and the memory
        # limit of a decoder counts address space.
        "MALLOC_ARENA_MAX": "1",
        # malloc retains freed memory, because a decoder runs for one image only and soon allocates
        # the memory again. Returning it to the kernel and faulting it in again took a sixth of the
        # CPU time of a 12-megapixel JPEG. Huge pages save page faults, too.
        "MALLOC_MMAP_THRESHOLD_": str(_KEPT_ALLOCATION_BYTES_MAX),
        "MALLOC_TRIM_THRESHOLD_": str(_KEPT_FREE_BYTES_MAX),
        "MALLOC_TOP_PAD_": str(_HEAP_STEP_BYTES),
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }


async def _ready(zygote: _Zygote) -> _Zygote:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_START_S_MAX):
            if await loop.sock_recv(zygote.control, _RECEIVE_BYTES):
                return zygote
        reason = "ended before it was ready"
    except TimeoutError:
        reason = f"was not ready after {_START_S_MAX:.0f} s"
    except BaseException:
        _kill(zygote)
        raise
    raise DecodersLost(f"the zygote of decoders {reason}: {_kill(zygote)}")


def _kill(zygote: _Zygote) -> str:
    """Kill a zygote that did not start; return its last words."""
    zygote.control.close()
    zygote.process.kill()
    zygote.process.wait()
    with closing(zygote.complaints):
        return zygote.last_words()


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that has been told to end; kill it if it does not end in `_STOP_S_MAX`."""
    try:
        await asyncio.to_thread(process.wait, _STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)
