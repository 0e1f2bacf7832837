"""The zygote: libvips loaded once, and a fork of that for each image.

Every image has a process of its own: limits are per image, and nothing that one image does is
there for the next. A fork is cheap beside a fresh interpreter, which takes 100 ms to import
pyvips alone, but not free: 1.5 ms here and, with the pages it copies, 5 to 15 ms in the decoder.

Forking is safe because libvips starts no thread before it computes the first pixel: the zygote
computes none, and refuses to serve if it finds a second thread. It sees no byte of an image,
so it needs no sandbox itself; each fork enters one before it looks (see `sandbox`).
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

import pyvips  # type: ignore[import-untyped]  # It ships stubs without saying so.

from streams.media.decoder import decode
from streams.media.loading import allow_loaders
from streams.media.sandbox import die_with_parent
from streams.media.syscalls import this_architecture
from streams.media.wire import COMPLAINT_BYTES_MAX, ORDER_BYTES_MAX, Ending, Order

READY = b"ready"
_STDERR = 2
_PIPE_BYTES = 65_536
_NEVER_TRIMMED_BYTES = 1 << 40
# What each image goes through; looked up here, so that no decoder has to.
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
    """Forks a decoder for each order that arrives on `control`, until that is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._architecture = this_architecture()
        self._selector = selectors.DefaultSelector()
        self._children: set[_Child] = set()
        self._is_wanted = True

    def serve(self) -> None:
        """Return when the worker has closed `control` or has died; every decoder is dead then."""
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
        complaints, complain = os.pipe2(os.O_NONBLOCK)  # A decoder that complains too much is cut off.
        pid = os.fork()
        if pid == 0:
            self._be_decoder(Order.unpack(packed), original, link, complain)
        os.close(original)
        os.close(complain)
        child = _Child(pid, os.pidfd_open(pid), socket.socket(fileno=link), complaints)
        self._children.add(child)
        self._on_readable(child.pidfd, lambda: self._reap(child))
        # The worker never writes here: readable means that it has closed its end, so wants no answer.
        self._on_readable(child.link, lambda: self._stop(child))

    def _be_decoder(self, order: Order, original: int, answer: int, complain: int) -> None:
        """Never returns: what follows the fork in the zygote must not happen twice."""
        status = 1
        try:
            die_with_parent(self._pid)
            os.dup2(complain, _STDERR)
            decode(order, self._architecture, original, answer)
            status = 0
        except BaseException:  # noqa: BLE001  # Nothing may return into the zygote's own loop.
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def _stop(self, child: _Child) -> None:
        if child not in self._children:
            return  # It ended by itself just now, and was reaped.
        self._selector.unregister(child.link)
        os.kill(child.pid, signal.SIGKILL)  # It cannot be another's number, for it is not yet waited for.

    def _reap(self, child: _Child) -> None:
        """Tell the worker how the decoder ended, and forget it."""
        self._children.remove(child)
        self._selector.unregister(child.pidfd)
        if child.link in self._selector.get_map():
            self._selector.unregister(child.link)
        _, status, used = os.wait4(child.pid, 0)
        cpu_us = int((used.ru_utime + used.ru_stime) * 1_000_000)
        ending = Ending(status, used.ru_maxrss * 1024, cpu_us, _last_words(child.complaints))
        with child.link, suppress(OSError):  # The worker may no longer want to know.
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
    # The cache of operations ends with its process, so it can carry nothing from image to image. It
    # stays on and is never trimmed: libvips 8.18 reads its built-in CMYK profile after the operation
    # that loaded it, which without the cache is freed by then (it crashes).
    pyvips.cache_set_max_mem(_NEVER_TRIMMED_BYTES)
    for operation in _OPERATIONS:
        pyvips.Introspect.get(operation)
    # Collecting would write to every page that is shared with the forks.
    gc.disable()
    gc.freeze()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"libvips started {threads - 1} threads on loading: it cannot be forked safely")


def main() -> None:
    """Serve the worker `argv[2]` over the inherited descriptor `argv[1]`."""
    die_with_parent(int(sys.argv[2]))
    _load_libvips()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
