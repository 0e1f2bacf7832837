"""The zygote: a process that loads libvips once and forks a decoder for each image.

Each image has a process of its own. So the limits apply to one image, and an image that takes over
its decoder cannot affect the next image. A fork is cheaper than a new interpreter, which needs
100 ms for the import of pyvips alone. A fork takes 1.5 ms in the zygote and 5 to 15 ms in the
decoder, which includes copying the pages that the decoder writes to.

Forking is safe only in a process with one thread. libvips starts threads when it computes the first
pixel; the zygote computes no pixel, and does not serve if it finds a second thread. The zygote
reads no byte of an image, so it needs no sandbox. Each decoder enters its sandbox before it reads
its image (see `sandbox`).
"""

import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pyvips  # type: ignore[import-untyped]  # pyvips has no py.typed.

from streams.media.decoder import decode
from streams.media.loading import allow_loaders
from streams.media.sandbox import die_with_parent
from streams.media.syscalls import this_architecture
from streams.media.wire import COMPLAINT_BYTES_MAX, ORDER_BYTES_MAX, Ending, Order

READY = b"ready"
_STDERR = 2
_PIPE_BYTES = 65_536
_NEVER_TRIMMED_BYTES = 1 << 40
# The libvips operations that decoders call. The zygote looks them up once, so that decoders need
# not.
_OPERATIONS = (
    "jpegload_buffer", "pngload_buffer", "webpload_buffer", "thumbnail_image", "icc_transform",
    "colourspace", "flatten", "jpegsave_buffer", "webpsave_buffer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    pidfd: int
    link: socket.socket
    complaints: int


class Zygote:
    """Forks a decoder for each order that arrives on `control`, until it is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._architecture = this_architecture()
        self._selector = selectors.DefaultSelector()
        self._children: set[_Child] = set()
        self._is_wanted = True

    def serve(self) -> None:
        """Take orders until the worker closes `control` or dies; then kill all decoders."""
        self._on_readable(self._control, self._take_order)
        self._control.send(READY)
        while self._is_wanted:
            for key, _ in self._selector.select():
                key.data()
        for child in self._children:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)

    def _on_readable(self, file: socket.socket | int, react: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, react)

    def _take_order(self) -> None:
        packed, descriptors, _, _ = socket.recv_fds(self._control, ORDER_BYTES_MAX, 2)
        if not packed:
            self._is_wanted = False
            return
        original, link = descriptors
        # The pipe is the decoder's stderr. If the pipe is full, further output is lost.
        complaints, complain = os.pipe2(os.O_NONBLOCK)
        pid = os.fork()
        if pid == 0:
            self._be_decoder(Order.unpack(packed), original, link, complain)
        os.close(original)
        os.close(complain)
        child = _Child(pid, os.pidfd_open(pid), socket.socket(fileno=link), complaints)
        self._children.add(child)
        self._on_readable(child.pidfd, lambda: self._reap(child))
        # The worker never writes to this socket. If the socket becomes readable, the worker has
        # closed its end and no longer wants the answer.
        self._on_readable(child.link, lambda: self._stop(child))

    def _be_decoder(self, order: Order, original: int, answer: int, complain: int) -> None:
        """Decode and exit. Never returns: only the zygote may run the code after the fork."""
        status = 1
        try:
            die_with_parent(self._pid)
            os.dup2(complain, _STDERR)
            decode(order, self._architecture, original, answer)
            status = 0
        except BaseException:  # noqa: BLE001  # An error must not return into the loop.
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def _stop(self, child: _Child) -> None:
        if child not in self._children:
            return  # The decoder ended by itself and was reaped in the same round of `serve`.
        self._selector.unregister(child.link)
        # The kernel has not reused this pid, because the decoder is not yet waited for.
        os.kill(child.pid, signal.SIGKILL)

    def _reap(self, child: _Child) -> None:
        """Tell the worker how the decoder ended, and forget it."""
        self._children.remove(child)
        self._selector.unregister(child.pidfd)
        if child.link in self._selector.get_map():
            self._selector.unregister(child.link)
        _, status, used = os.wait4(child.pid, 0)
        cpu_us = int((used.ru_utime + used.ru_stime) * 1_000_000)
        ending = Ending(status, used.ru_maxrss * 1024, cpu_us, _last_words(child.complaints))
        with child.link, suppress(OSError):  # The worker may have closed its end.
            child.link.sendall(ending.pack())
        os.close(child.pidfd)
        os.close(child.complaints)


def _last_words(complaints: int) -> str:
    try:
        return os.read(complaints, _PIPE_BYTES)[-COMPLAINT_BYTES_MAX:].decode(errors="replace")
    except BlockingIOError:
        return ""


def _load_libvips() -> None:
    allow_loaders()
    # The operation cache must be on and must never be trimmed. libvips 8.18 reads its built-in CMYK
    # profile after the end of the operation that loaded the profile. Without the cache, the profile
    # is freed by then and libvips crashes. The cache carries nothing from one image to another,
    # because each decoder has its own and ends after one image.
    pyvips.cache_set_max_mem(_NEVER_TRIMMED_BYTES)
    for operation in _OPERATIONS:
        pyvips.Introspect.get(operation)
    # A garbage collection writes to the pages that the zygote shares with its decoders, so that the
    # kernel would have to copy them.
    gc.disable()
    gc.freeze()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"libvips started {threads - 1} threads on loading: it cannot be forked safely")


def main() -> None:
    """Serve the worker with the pid `argv[2]` over the inherited descriptor `argv[1]`."""
    die_with_parent(int(sys.argv[2]))
    _load_libvips()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
