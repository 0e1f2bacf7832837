"""The worker's end of its zygote: start it, give it an image, hear what became of it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

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
    """The zygote ended: the machine's fault, or ours. Nothing is known about the photo."""


@dataclass(frozen=True, slots=True)
class _Zygote:
    process: subprocess.Popen[bytes]
    control: socket.socket


class ZygoteLink:
    """One zygote at a time, started when it is needed, and again when it has ended."""

    def __init__(self) -> None:
        self._zygote: _Zygote | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> _Zygote:
        """The zygote, ready; a new one only where there is none.

        Raises:
            DecodersLost: It does not start; its own words are on this process's stderr.
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

    async def run(self, order: Order, original: bytes) -> tuple[memoryview, Ending]:
        """What a decoder answers to `order`, and how it ended. Cancelling ends it.

        Raises:
            DecodersLost: The zygote ended before it could say how the decoder did.
            OverflowError: The answer is longer than any answer can be.
        """
        zygote = await self.start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # Closing our end is what ends the decoder: the zygote sees it, also when we are killed.
        with closing(ours):
            ours.setblocking(False)
            try:
                with closing(theirs):
                    async with _in_memory(original) as descriptor:
                        socket.send_fds(zygote.control, [order.pack()], [descriptor, theirs.fileno()])
                return split_ending(await _everything(ours))
            except (OSError, EOFError) as error:
                await self._forget(zygote)
                raise DecodersLost(f"the zygote of decoders ended: {error}") from error

    async def _forget(self, zygote: _Zygote) -> None:
        """Leave a zygote that has failed; the next image starts another."""
        if self._zygote is zygote:
            self._zygote = None
            zygote.control.close()
            zygote.process.kill()
            await _ended(zygote.process)


@asynccontextmanager
async def _in_memory(original: bytes) -> AsyncIterator[int]:
    """A descriptor of memory outside this process, which the decoder maps."""
    descriptor = os.memfd_create("original")
    try:
        rest = memoryview(original)
        while rest:
            rest = rest[os.write(descriptor, rest[:_WRITTEN_BYTES]) :]
            # 25 MB are 6,000 pages to be found: others have their turns in between.
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
    with closing(theirs):
        descriptor = theirs.fileno()
        command = [sys.executable, "-P", "-B", "-m", _ZYGOTE_MODULE, str(descriptor), str(os.getpid())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env=_environment(),
            process_group=0,  # Ctrl-C is for the worker, which then ends its zygote in its own time.
        )
    return _Zygote(process, ours)


def _environment() -> dict[str, str]:
    """Nothing of this process's environment, which holds the credentials of every store."""
    return {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        "LANG": "C.UTF-8",
        # One thread computes: parallel work is several images, not several threads of one.
        "VIPS_CONCURRENCY": "1",
        # Warnings about odd files are not worth a line each, and would crowd out a decoder's last words.
        "VIPS_WARNING": "1",
        # Each further heap of glibc's would map 128 MB of address space, which is what is limited.
        "MALLOC_ARENA_MAX": "1",
        # A decoder lives for one image, so what is freed is soon wanted again: giving it back and
        # faulting it in again was a sixth of the CPU time of a 12-megapixel JPEG. Large pages, too.
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
        raise DecodersLost("the zygote of decoders ended before it was ready")
    except BaseException as error:
        zygote.control.close()
        zygote.process.kill()
        zygote.process.wait()
        if isinstance(error, TimeoutError):
            raise DecodersLost(f"the zygote of decoders was not ready after {_START_S_MAX:.0f} s") from error
        raise


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that has been told to end, and make it where it does not."""
    try:
        await asyncio.to_thread(process.wait, _STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)
