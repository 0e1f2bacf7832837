"""What a decoder cannot do, and what happens to the worker when a decoder dies."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streams.media.decoders import Cost, Decoders
from streams.media.limits import MediaLimits
from streams.media.rejected import Reason, Rejected
from streams.media.zygote_link import DecodersLost
from tests.worlds.media import (
    LIMITS,
    MIB,
    children_of,
    confined_decoder,
    environment_of,
    interlaced_png,
    is_running,
    jpeg,
    limits,
    png,
    signal_to,
    status_of,
    until,
    zygotes,
)

CONFINED = """
import ctypes, json, mmap, os, resource, signal, socket, sys, threading
from streams.media.sandbox import Allowance, confine
from streams.media.syscalls import this_architecture

def start_thread():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()

def run_code():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

libc = ctypes.CDLL(None, use_errno=True)
inherited = os.open("/dev/null", os.O_RDONLY)

def unshare():
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")

pages = mmap.mmap(-1, 4096)

def advise(advice):
    if libc.madvise(ctypes.c_void_p(address), 4096, advice):
        raise OSError(ctypes.get_errno(), "madvise")

address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
attempts = {
    "giving pages back": lambda: advise(4),
    "sharing pages": lambda: advise(12),
    "advice that does not exist": lambda: advise(999),
    "arithmetic": lambda: sum(range(1_000)),
    "a thread": start_thread,
    "ten megabytes": lambda: bytes(10_000_000),
    "a gigabyte": lambda: bytes(1_000_000_000),
    "a socket": lambda: socket.socket(socket.AF_INET),
    "a socket in pairs": socket.socketpair,
    "reading a file": lambda: open("/etc/hostname"),
    "writing a file": lambda: open(sys.argv[1], "w"),
    "a file in memory": lambda: os.memfd_create("x"),
    "a pipe": os.pipe,
    "an inherited descriptor": lambda: os.read(inherited, 1),
    "a copy of a descriptor": lambda: os.dup(1),
    "a program": lambda: os.execv("/bin/true", ["true"]),
    "a process": os.fork,
    "a signal to the parent": lambda: os.kill(os.getppid(), 0),
    "memory that runs": run_code,
    "a namespace": unshare,
    "more memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
}
confine(Allowance(50_000_000, 5, False), this_architecture(), keep=(1, 2))
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = "done"
    except (OSError, MemoryError, ValueError) as error:
        found[name] = type(error).__name__
print(json.dumps(found), flush=True)
os._exit(0)
"""
SPINNING = """
from streams.media.sandbox import Allowance, confine
from streams.media.syscalls import this_architecture
confine(Allowance(50_000_000, 1, False), this_architecture(), keep=(1, 2))
while True:
    pass
"""
WORKER = """
import asyncio, sys
from pathlib import Path
from streams.media.decoders import Decoders
from tests.worlds.media import LIMITS

async def main():
    async with Decoders(LIMITS, children_max=1, is_background=False) as decoders:
        print("ready", flush=True)
        await decoders.full(Path(sys.argv[1]).read_bytes())

asyncio.run(main())
"""
ORPHANING = """
import os
from streams.media.sandbox import die_with_parent
parent = os.getpid()
if os.fork() == 0:
    die_with_parent(parent)
    print(os.getpid(), flush=True)
os.read(0, 1)
os._exit(0)
"""
ALLOWED = {"giving pages back", "arithmetic", "a thread", "ten megabytes"}
# Decoding it takes hundreds of milliseconds, so that a test finds the decoder at work on a busy machine, too.
SLOW = png(7_000, 6_000)
HELD_WHOLE_SIDE = 3_600
HELD_WHOLE = interlaced_png(HELD_WHOLE_SIDE)  # 39 MB once it is decoded.


@asynccontextmanager
async def running(media_limits: MediaLimits = LIMITS, *, children_max: int = 1) -> AsyncIterator[Decoders]:
    async with Decoders(media_limits, children_max=children_max, is_background=False) as decoders:
        yield decoders


async def stopped_decoder() -> int:
    """Wait until the one decoder is in its sandbox, stop it by SIGSTOP, and return its pid."""
    [zygote] = zygotes()
    pid: int = await until(lambda: confined_decoder(zygote), "a decoder in its sandbox")
    signal_to(pid, signal.SIGSTOP)
    return pid


def confined(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def started(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.law("L11")
def test_a_confined_process_can_do_arithmetic_and_nothing_else(tmp_path: Path) -> None:
    """No socket, file, pipe, program, process, signal, namespace, memory that runs; not more of anything."""
    ran = confined(CONFINED, str(tmp_path / "file"))

    found = json.loads(ran.stdout)
    assert {name for name, what in found.items() if what == "done"} == ALLOWED, ran.stderr
    assert found["a gigabyte"] == "MemoryError"
    assert not (tmp_path / "file").exists()


@pytest.mark.law("L11")
def test_a_confined_process_ends_when_its_time_is_used_up() -> None:
    """With the signal that says so, by which a timeout is told from a crash."""
    assert -signal.SIGXCPU == confined(SPINNING).returncode


@pytest.mark.law("L11")
async def test_a_decoder_is_confined(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that decode are under that sandbox, and know none of the worker's secrets."""
    monkeypatch.setenv("SHUTTERLINE_JWT_SECRET", "a-secret-of-the-worker")
    async with running() as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()

        assert "2" == status_of(pid, "Seccomp")
        assert "1" == status_of(pid, "NoNewPrivs")
        assert b"secret" not in environment_of(zygotes()[0]).lower()
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_CPU) == (20, 21)
        assert 0 < resource.prlimit(pid, resource.RLIMIT_AS)[0] < 96 * MIB + 400 * MIB
        signal_to(pid, signal.SIGCONT)
        assert (await task)["large"].width == 1080


async def test_full_renditions_give_way() -> None:
    """A background decoder runs only when nothing else wants the core."""
    async with Decoders(LIMITS, children_max=1, is_background=True) as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()
        gives_way = os.SCHED_IDLE == os.sched_getscheduler(pid) or os.getpriority(os.PRIO_PROCESS, pid) == 19
        signal_to(pid, signal.SIGCONT)
        await task

    assert gives_way


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, Reason.DECODER_CRASHED),
        (signal.SIGSEGV, Reason.DECODER_CRASHED),
        (signal.SIGXCPU, Reason.DECODER_TIMEOUT),
    ],
)
async def test_a_decoder_that_dies_is_one_rejected_photo(number: int, reason: Reason) -> None:
    """Whatever signal ends the decoder, only its photo is rejected; the next photo is made."""
    async with running() as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()
        signal_to(pid, number)
        signal_to(pid, signal.SIGCONT)

        with pytest.raises(Rejected) as rejected:
            await task
        assert reason == rejected.value.reason
        assert (await decoders.thumbnail(jpeg())).width == 64


async def test_a_decoder_that_hangs_is_ended() -> None:
    """After its wall-clock deadline the decoder is killed, and its slot is free again."""
    async with running(limits(decoder_wall_s_max=0.5)) as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()

        with pytest.raises(Rejected, match=Reason.DECODER_TIMEOUT):
            await task
        await until(lambda: not is_running(pid), "the end of the decoder that hung")
        assert (await decoders.thumbnail(jpeg())).width == 64


async def test_a_cancelled_call_leaves_no_process() -> None:
    """For example, the worker lost its partition, so nobody needs the renditions."""
    async with running() as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()
        task.cancel()

        await until(lambda: not is_running(pid), "the end of the decoder nobody wants")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await decoders.thumbnail(jpeg())).width == 64


@pytest.mark.law("L11")
async def test_too_little_memory_rejects_one_photo() -> None:
    """An image that must be held whole meets the limit; the worker and the next photo do not."""
    small = limits(decoder_memory_bytes_max=40 * MIB, large_decoder_memory_bytes_max=44 * MIB)
    async with running(small) as decoders:
        with pytest.raises(Rejected, match=Reason.DECODER_OUT_OF_MEMORY):
            await decoders.full(HELD_WHOLE)

        assert (await decoders.thumbnail(jpeg())).width == 64


async def test_a_large_image_has_a_second_try_with_more_memory() -> None:
    """The second try waits for its turn, and then makes the rendition."""
    costs: list[Cost] = []
    small = limits(decoder_memory_bytes_max=40 * MIB)
    turn = asyncio.Lock()
    async with Decoders(
        small, children_max=1, is_background=True, large_turn=turn, observe=costs.append
    ) as decoders:
        await turn.acquire()
        task = asyncio.create_task(decoders.thumbnail(HELD_WHOLE))
        await until(lambda: costs, "the first try, which has too little memory")
        # While it waits for its turn it holds no slot, so a small photo is decoded meanwhile.
        assert (await decoders.thumbnail(jpeg())).width == 64
        assert not task.done()
        turn.release()
        # The second try holds the turn that others wait for, so its priority is normal.
        pid = await stopped_decoder()
        assert os.SCHED_OTHER == os.sched_getscheduler(pid)
        signal_to(pid, signal.SIGCONT)

        assert (await task).width == 150
    assert [None, 64 * 48, HELD_WHOLE_SIDE**2] == [cost.pixels for cost in costs]


async def test_no_more_images_are_decoded_at_once_than_allowed() -> None:
    """The other images wait for a slot."""
    async with running(children_max=2) as decoders:
        [zygote] = zygotes()
        tasks = [asyncio.create_task(decoders.thumbnail(SLOW)) for _ in range(6)]
        seen = {0}

        def all_done() -> bool:
            seen.add(len([pid for pid in children_of(zygote) if is_running(pid)]))
            return all(task.done() for task in tasks)

        await until(all_done, "six thumbnails by two decoders")

    assert max(seen) == 2


async def test_a_zygote_that_dies_costs_no_photo() -> None:
    """A new zygote is started, and the photo, which did not cause the death, is decoded again."""
    async with running() as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()
        [zygote] = zygotes()
        signal_to(zygote, signal.SIGKILL)

        assert (await task)["large"].width == 1080
        assert not is_running(pid)
        assert [zygote] != zygotes()


async def test_a_zygote_that_cannot_start_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The machine or our code is at fault and no photo, so the worker fails at its start. The error has
    what the zygote wrote, because the worker's standard error has lines of JSON."""
    monkeypatch.setattr("streams.media.zygote_link._ZYGOTE_MODULE", "streams.media.nowhere")

    with pytest.raises(DecodersLost, match=r"before it was ready: .*streams\.media\.nowhere"):
        async with running():
            pass
    assert [] == zygotes()
    assert capfd.readouterr().err == ""


async def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    """If SIGKILL ends a worker, its zygote and decoder end, too, even if the decoder hangs."""
    (tmp_path / "slow.png").write_bytes(SLOW)
    with started(WORKER, str(tmp_path / "slow.png")) as worker:
        [zygote] = await until(lambda: zygotes(worker.pid), "the worker's zygote")
        decoder = await until(lambda: confined_decoder(zygote), "the worker's decoder")
        signal_to(decoder, signal.SIGSTOP)
        worker.kill()
        worker.wait()

        await until(lambda: not is_running(zygote) and not is_running(decoder), "the end of all it started")


async def test_closing_ends_what_is_at_work() -> None:
    """When a worker stops normally, its zygote and decoders have ended before it continues."""
    async with running() as decoders:
        task = asyncio.create_task(decoders.full(SLOW))
        pid = await stopped_decoder()
        [zygote] = zygotes()
        task.cancel()

    assert not is_running(zygote)
    assert not is_running(pid)


async def test_a_process_can_be_made_to_die_with_its_parent() -> None:
    """The kernel kills it; reading the end of a socket would not do, because it may hang."""
    with started(ORPHANING) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
        parent.wait()

        # The standard input that both read is still open, so its end is not what ends the child.
        await until(lambda: not is_running(pid), "the end of a process whose parent was killed")


def test_a_limit_that_cannot_be_is_refused() -> None:
    """The second try must have at least the memory of the first."""
    with pytest.raises(ValueError, match="large_decoder_memory_bytes_max"):
        limits(decoder_memory_bytes_max=2, large_decoder_memory_bytes_max=1)


@pytest.mark.law("L11")
async def test_a_decoder_has_no_capability() -> None:
    """In a container a worker is often root, whose capabilities would outlive the sandbox."""
    decoder = await asyncio.create_subprocess_exec(sys.executable, "-c", SPINNING)
    try:
        await until(lambda: status_of(decoder.pid, "Seccomp") == "2", "the decoder is confined")
        found = {name: status_of(decoder.pid, name) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")}
    finally:
        decoder.kill()
        await decoder.wait()

    assert set(found.values()) == {"0" * 16}
