"""A TCP proxy, on an event loop in its own thread, that delays, cuts or swallows a server's responses."""

import asyncio
import socket
import struct
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536


class SlowProxy:
    """Forwards to `port`; a context manager.

    While `delay_s` is not zero, each answer waits that long. While `cuts` is true, half of an answer
    arrives and the connection ends.

    It listens at the port `listen`, or at a free one.
    """

    def __init__(self, port: int, *, listen: int = 0) -> None:
        self._target = port
        self.delay_s = 0.0
        self.cuts = False
        self.port = listen
        self._started = Event()
        self._is_hole = False
        # The connections of an earlier number stay dead, as those of a router that has forgotten them.
        self._holes = 0
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="slow-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self, *, reset: bool = False) -> None:
        """Close every connection. With `reset`, send a TCP reset, as a restarted proxy does."""

        async def cut() -> None:
            for writer in self._writers:
                if reset and not writer.is_closing():
                    connection = writer.get_extra_info("socket")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            self._writers.clear()

        asyncio.run_coroutine_threadsafe(cut(), self._loop).result(10)

    def swallow(self) -> None:
        """From now on nothing is forwarded and nothing is closed, until `restore`."""
        self._is_hole = True
        self._holes += 1

    def restore(self) -> None:
        """Forward new connections again. Those that were open when it began to swallow stay dead."""
        self._is_hole = False

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._pipes:
            task.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            to_client.close()
            return
        self._writers.update((to_client, to_server))
        for pipe in (self._pipe(client, to_server, slow=False), self._pipe(server, to_client, slow=True)):
            task = asyncio.create_task(pipe)
            self._pipes.add(task)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slow: bool) -> None:
        # Chunks wait in a queue, so that the delay adds latency and does not lower the throughput.
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        # A connection that is opened in a hole is dead from its beginning.
        holes = -1 if self._is_hole else self._holes

        async def forward() -> None:
            while True:
                at, data = await due.get()
                await asyncio.sleep(max(0.0, at - self._loop.time()))
                if not data:
                    return
                is_cut = slow and self.cuts
                sink.write(data[: len(data) // 2] if is_cut else data)
                await sink.drain()
                if is_cut:
                    sink.close()
                    return

        async def take() -> None:
            with suppress(OSError):
                while data := await source.read(CHUNK_BYTES):
                    if holes != self._holes:
                        continue
                    due.put_nowait((self._loop.time() + (self.delay_s if slow else 0.0), data))
            due.put_nowait((0.0, b""))

        with suppress(OSError):
            await asyncio.gather(take(), forward())
        sink.close()
