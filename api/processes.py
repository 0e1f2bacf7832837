"""Several processes of one command that live and end together, and the sockets that they listen on.

The processes of one API share a port: the system deals its connections out to them. A scrape of that port
would reach any of them, so each also listens on a port of its own.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import FrameType

from streams.stopping import STOP_SIGNALS

log = logging.getLogger(__name__)

BACKLOG = 2_048


def listening_sockets(host: str, port: int, number: int) -> tuple[socket.socket, socket.socket]:
    """Return the sockets of process `number` (from 1): on the shared port, and on `port + number`.

    Raises:
        OSError: The port of its own is in use, or the shared one is and not by processes of this user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # First the one that cannot be shared: it fails if another API runs with the same ports.
    own = socket.create_server((host, port + number), family=family, backlog=BACKLOG)
    return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=True), own


def run_together(count: int, target: Callable[[int], None]) -> int:
    """Run `target` with each number from 1 to `count` in a process of its own, until all have ended.

    SIGTERM and SIGINT end all of them in order. If one ends by itself, the others are ended in order, too:
    what supervises this process then starts all again. If this process is killed, they end by themselves,
    see `when_parent_ends`.

    Returns the status to exit with: 0 after a signal, if all ended in order.
    """
    context = get_context("spawn")  # A fork would copy the threads' locks of libraries.
    processes = [context.Process(target=target, args=(number,)) for number in range(1, count + 1)]
    was_told = False

    def stop() -> None:
        for process in processes:
            if process.is_alive():
                process.terminate()

    def receive(*_: int | FrameType | None) -> None:
        nonlocal was_told
        was_told = True
        stop()

    for number in STOP_SIGNALS:
        signal.signal(number, receive)
    for process in processes:
        process.start()
    if was_told:
        stop()  # Those that were started after the signal.
    wait([process.sentinel for process in processes])
    if not was_told:
        log.error("one of %s processes ended by itself, so all end", count)
        stop()
    for process in processes:
        process.join()
    return 0 if was_told and not any(process.exitcode for process in processes) else 1


def when_parent_ends(stop: Callable[[], object]) -> None:
    """Call `stop` on the event loop when the process that started this one ends; never, if none did."""
    parent = parent_process()
    if parent is not None:
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(parent.sentinel)
            stop()

        loop.add_reader(parent.sentinel, ended)
