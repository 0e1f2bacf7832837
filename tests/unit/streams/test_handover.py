"""Handing items from other threads to the event loop."""

import asyncio
from threading import Thread

from streams.handover import LoopHandover


async def test_every_item_of_every_thread_arrives_in_its_threads_order() -> None:
    """No item is lost, however the threads and the event loop interleave."""
    items_a_thread, threads = 5_000, 4
    received: list[tuple[int, int]] = []
    done = asyncio.Event()

    def receive(item: tuple[int, int]) -> None:
        received.append(item)
        if len(received) == items_a_thread * threads:
            done.set()

    handover = LoopHandover(receive)

    def put_all(thread: int) -> None:
        for number in range(items_a_thread):
            handover.put((thread, number))

    for thread in range(threads):
        Thread(target=put_all, args=(thread,), daemon=True).start()
    async with asyncio.timeout(30):
        await done.wait()

    for thread in range(threads):
        assert [number for of, number in received if of == thread] == list(range(items_a_thread))


def test_an_item_after_the_loop_has_closed_is_ignored() -> None:
    """A driver's thread may report after the process has stopped using the driver."""
    received: list[int] = []

    async def create() -> LoopHandover[int]:
        return LoopHandover(received.append)

    asyncio.run(create()).put(1)

    assert received == []
