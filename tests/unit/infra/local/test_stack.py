"""Parts of the local stack that need no servers: ports, pid files, secrets, waiting."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.traffic.waiting import wait_until
from infra.local import credentials, ports
from infra.local.errors import DaemonDiedError, StackError
from infra.local.paths import PROJECT, Home
from infra.local.processes import kernel
from infra.local.processes.daemon import Daemon
from infra.local.processes.interrupts import deferred_interrupts
from infra.local.processes.launch import TIMER_SLACK_NS
from infra.local.processes.lock import exclusive
from infra.local.processes.readiness import wait_ready
from infra.local.servers.jars import KINDS, missing
from infra.local.stack import Stack

SLEEP = ["sleep", "600"]


def gone(pid: int) -> bool:
    seen = kernel.look(pid)
    return seen is None or seen.ended


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "stack")


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    made = Daemon("worker-1", home)
    yield made
    made.stop()


def run(daemon: Daemon, *command: str) -> int:
    daemon.spawn(command, os.environ, PROJECT)
    pid = daemon.pid
    assert pid is not None
    return pid


class TestPorts:
    def test_the_ports_of_the_last_run_are_kept(self) -> None:
        """Addresses that a user wrote down stay valid in the next run."""
        remembered = ports.choose({}, {}, ())

        assert remembered == ports.choose({}, remembered, ())

    @given(taken=st.sets(st.sampled_from(sorted(ports.OWNERS))))
    def test_a_port_taken_meanwhile_is_replaced_while_nothing_runs(self, taken: set[str]) -> None:
        """Only the ports change that another program uses."""
        remembered = {name: 20_000 + place for place, name in enumerate(ports.OWNERS)}
        busy = {remembered[name] for name in taken}

        chosen = ports.choose({}, remembered, (), free=lambda port: port not in busy)

        assert {name for name in ports.OWNERS if chosen[name] != remembered[name]} == taken
        assert busy.isdisjoint(chosen.values())

    def test_no_two_servers_get_the_same_port(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """This also holds if the range has exactly as many ports as there are servers."""
        monkeypatch.setattr(ports, "LAST", ports.FIRST + len(ports.OWNERS) - 1)

        chosen = ports.choose({}, {}, (), free=lambda _port: True)

        assert sorted(chosen.values()) == list(range(ports.FIRST, ports.LAST + 1))

    def test_a_port_comes_again_only_after_all_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two servers whose ports were chosen one after the other got the same one now and then."""
        monkeypatch.setattr(ports, "LAST", ports.FIRST + 1_249)

        chosen = [ports.unused((), free=lambda _port: True) for _ in range(1_250)]

        assert sorted(chosen) == list(range(ports.FIRST, ports.LAST + 1))

    def test_the_ports_behind_one_are_chosen_long_after_it(self) -> None:
        """The API uses them without asking for them."""
        chosen = [ports.unused((), free=lambda _port: True) for _ in range(100)]

        assert not {port + behind for port in chosen for behind in (1, 2)} & set(chosen)

    def test_no_port_changes_while_a_process_runs(self) -> None:
        """A running worker knows Redis by its old address. If the port changed, the worker would
        lose its connection without an error message."""
        remembered = {name: 20_000 + place for place, name in enumerate(ports.OWNERS)}

        with pytest.raises(StackError, match=f"port {remembered['redis']} of redis is taken"):
            ports.choose({}, remembered, {"worker-1"}, free=lambda port: port != remembered["redis"])

    def test_a_running_server_keeps_the_port_it_listens_on(self) -> None:
        """A port that is taken by the server itself is not replaced."""
        remembered = {name: 20_000 + place for place, name in enumerate(ports.OWNERS)}
        held = {remembered["kafka"], remembered["kafka_controller"]}

        assert remembered == ports.choose({}, remembered, {"kafka"}, free=lambda port: port not in held)

    def test_a_given_port_that_is_taken_is_an_error(self) -> None:
        """If a user sets a port, the server gets this port or the start fails. It never gets
        another port silently."""
        with pytest.raises(StackError, match=r"port 6379 of redis is taken.*SHUTTERLINE_REDIS_PORT"):
            ports.choose({"redis": 6379}, {}, (), free=lambda port: port != 6379)

    def test_a_given_port_does_not_move_a_running_stack(self) -> None:
        """The error message says to stop the stack first."""
        with pytest.raises(StackError, match=r"redis is to have port 6379.*20001.*make down"):
            ports.choose({"redis": 6379}, {"redis": 20_001}, {"redis"}, free=lambda _port: True)

    @pytest.mark.parametrize("text", ["", "0", "65536", "-1", "http", "8080 ", "٣"])
    def test_what_is_no_port_is_refused(self, text: str) -> None:
        """The message names the variable and the value."""
        with pytest.raises(StackError, match=r"SHUTTERLINE_API_PORT is .*from 1 to 65535"):
            ports.given({"SHUTTERLINE_API_PORT": text})

    def test_given_ports_are_read_by_name(self) -> None:
        """Each server's port has a separate environment variable."""
        environment = {"SHUTTERLINE_API_PORT": "8080", "SHUTTERLINE_KAFKA_CONTROLLER_PORT": "9093"}

        assert ports.given(environment) == {"api": 8080, "kafka_controller": 9093}

    def test_one_port_given_twice_is_refused(self) -> None:
        """Two servers cannot share a port."""
        with pytest.raises(StackError, match="another server's port"):
            ports.given({"SHUTTERLINE_API_PORT": "8080", "SHUTTERLINE_S3_PORT": "8080"})

    def test_a_damaged_file_of_ports_is_no_obstacle(self, tmp_path: Path) -> None:
        """New ports are chosen instead."""
        (tmp_path / "ports.json").write_text('{"redis": 20')

        assert ports.load(tmp_path / "ports.json") == {}


class TestDaemon:
    def test_the_pid_file_holds_the_pid_alone(self, daemon: Daemon, home: Home) -> None:
        """`kill $(cat NAME.pid)` must work, so the file has only the pid of the program itself."""
        pid = run(daemon, *SLEEP)

        assert (home.run / "worker-1.pid").read_text() == f"{pid}\n"
        command = Path(f"/proc/{pid}/cmdline")
        wait_until("the pid is the program's", lambda: command.read_text().split("\0")[:2] == SLEEP)

    def test_the_kernel_may_wake_it_half_a_millisecond_late(self, daemon: Daemon) -> None:
        """Threads that look for work again and again then cost less."""
        pid = run(daemon, *SLEEP)

        assert int(Path(f"/proc/{pid}/timerslack_ns").read_text()) == TIMER_SLACK_NS

    def test_another_object_finds_it_again(self, daemon: Daemon, home: Home) -> None:
        """A new run finds the processes of an earlier run that was killed."""
        pid = run(daemon, *SLEEP)

        assert Daemon("worker-1", home).pid == pid

    def test_a_reused_pid_is_not_taken_for_it(self, daemon: Daemon, home: Home) -> None:
        """If the process with the recorded pid started at another time, it is another program and
        is not killed."""
        pid = run(daemon, *SLEEP)
        started = home.run / "worker-1.started"
        recorded = started.read_text()
        started.write_text(f"{int(recorded) - 1}\n")

        stranger = Daemon("worker-1", home)
        stranger.kill()

        assert stranger.pid is None
        assert not gone(pid)
        started.write_text(recorded)

    def test_stopping_ends_what_it_forked(self, daemon: Daemon, tmp_path: Path) -> None:
        """The children of a worker end with it."""
        child_file = tmp_path / "child"
        run(daemon, "sh", "-c", f"sleep 600 & echo $! > {child_file}; wait")
        wait_until("the child has begun", lambda: child_file.exists() and child_file.read_text() != "")

        daemon.stop()

        wait_until("the child is gone", lambda: gone(int(child_file.read_text())))

    def test_what_a_killed_one_forked_is_ended_by_the_next_start(
        self, daemon: Daemon, tmp_path: Path
    ) -> None:
        """After kill -9 the children of the process still run. They must end before the new process
        works."""
        child_file = tmp_path / "child"
        run(daemon, "sh", "-c", f"sleep 600 & echo $! > {child_file}; wait")
        wait_until("the child has begun", lambda: child_file.exists() and child_file.read_text() != "")
        daemon.kill()
        assert not gone(int(child_file.read_text()))

        run(daemon, *SLEEP)

        wait_until("the child is gone", lambda: gone(int(child_file.read_text())))

    def test_a_paused_one_can_be_stopped(self, daemon: Daemon) -> None:
        """A paused process does not handle SIGTERM, so stopping must also resume it. Otherwise the
        stop would take until the deadline."""
        pid = run(daemon, *SLEEP)
        daemon.pause()
        wait_until("it is paused", lambda: (seen := kernel.look(pid)) is not None and seen.paused)
        assert daemon.pid == pid
        began = time.monotonic()

        daemon.stop()

        assert gone(pid)
        assert time.monotonic() - began < 5

    def test_stopping_removes_its_files(self, daemon: Daemon, home: Home) -> None:
        """This includes the file with the address of its metrics, which nothing serves any more."""
        run(daemon, *SLEEP)
        daemon.metrics_file.write_text("127.0.0.1:1\n")

        daemon.stop()

        assert list(home.run.iterdir()) == []

    def test_a_program_that_is_not_there_is_named(self, daemon: Daemon) -> None:
        """The log of the process says why, and the error of the waiting command shows the log."""
        daemon.spawn(["no-such-program"], os.environ, PROJECT)

        with pytest.raises(DaemonDiedError, match="cannot run no-such-program"):
            wait_ready({daemon: lambda: False})

    @pytest.mark.parametrize("dies_with_parent", [True, False])
    def test_it_ends_with_its_parent_only_when_asked(self, home: Home, *, dies_with_parent: bool) -> None:
        """The servers of a killed test run end. The servers of `make up` continue to run."""
        script = (
            "import os, sys; from pathlib import Path; from infra.local.processes.daemon import Daemon; "
            "from infra.local.paths import Home; "
            f"d = Daemon('redis', Home(Path(sys.argv[1])), dies_with_parent={dies_with_parent}); "
            "d.spawn(['sleep', '600'], os.environ, Path('/')); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", script, str(home.root)], cwd=PROJECT, check=False)
        orphan = Daemon("redis", home)

        if dies_with_parent:
            wait_until("it has ended with its parent", lambda: orphan.pid is None)
        else:
            assert orphan.pid is not None
        orphan.stop()

    def test_a_log_is_bounded_while_its_process_runs(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also what is printed to stderr, in one long line, or by a child. One old log stays."""
        monkeypatch.setenv("SHUTTERLINE_LOG_BYTES_MAX", "100000")
        chatty = Daemon("worker-1", home)
        lines = "i=0; while [ $i -lt 5000 ]; do echo a line of some forty bytes: $i; i=$((i+1)); done"
        long = "head -c 300000 /dev/zero | tr '\\0' x >&2"
        run(chatty, "sh", "-c", f"{long}; ({lines}); echo last; exec sleep 600")
        wait_until("it has logged", partial(_ends_with, chatty, "last"))

        sizes = {file.name: file.stat().st_size for file in home.log.iterdir()}
        chatty.stop()
        assert set(sizes) == {"worker-1.log", "worker-1.log.1"}
        assert max(sizes.values()) <= 100_000
        assert chatty.log_tail().splitlines()[-2:] == ["a line of some forty bytes: 4999", "last"]

    def test_a_log_is_continued_and_complete_when_its_process_has_ended(self, home: Home) -> None:
        """Several starts can be read in one log. Bytes that are no text are shown as escapes."""
        chatty = Daemon("worker-1", home)
        for text in ("one", "two"):
            run(
                chatty,
                "sh",
                "-c",
                f"trap 'printf \"the end \\377\"; exit' TERM; echo {text}; sleep 600 & wait",
            )
            wait_until("it has logged", partial(_ends_with, chatty, text))
            chatty.stop()

        assert chatty.log_file.read_text() == "one\nthe end \\xff\ntwo\nthe end \\xff\n"

    def test_a_size_that_is_none_is_refused(self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence names the variable."""
        monkeypatch.setenv("SHUTTERLINE_LOG_BYTES_MAX", "10 MB")

        with pytest.raises(StackError, match="SHUTTERLINE_LOG_BYTES_MAX is '10 MB'"):
            run(daemon, *SLEEP)

    def test_a_name_that_never_ran_is_not_running(self, home: Home) -> None:
        """To stop it is not an error."""
        never = Daemon("media-1", home)
        never.stop()

        assert never.pid is None


def _ends_with(daemon: Daemon, text: str) -> bool:
    return daemon.log_tail().endswith(text)


class TestWaiting:
    def test_the_dead_are_not_waited_for(self, daemon: Daemon) -> None:
        """If the process has died, the error is raised at once. It has the last 20 lines of the
        log."""
        run(daemon, "sh", "-c", "seq 1 50; exec sleep 600")
        wait_until("it has logged", lambda: daemon.log_tail().endswith("50"))
        daemon.kill()
        began = time.monotonic()

        with pytest.raises(DaemonDiedError) as error:
            wait_ready({daemon: lambda: False})

        assert str(error.value).splitlines()[1:] == [str(number) for number in range(31, 51)]
        assert time.monotonic() - began < 5

    def test_the_silent_are_named_when_the_deadline_passes(self, daemon: Daemon) -> None:
        """The message has the end of the log, too: the log of a test run may be gone when it is read."""
        run(daemon, "sh", "-c", "echo no address yet; exec sleep 600")
        wait_until("it has logged", lambda: daemon.log_tail() == "no address yet")

        with pytest.raises(StackError) as error:
            wait_ready({daemon: lambda: False}, deadline_s=0)

        assert str(error.value) == (
            f"worker-1 did not answer within 0 s. The last lines of {daemon.log_file}:\nno address yet"
        )

    def test_a_signal_waits_for_the_end_of_what_must_not_be_cut(self) -> None:
        """If Ctrl-C came between the start of a process and the write of its pid file, no later
        command would find the process."""
        finished = False

        def interrupted_halfway() -> None:
            nonlocal finished
            with deferred_interrupts():
                os.kill(os.getpid(), signal.SIGINT)
                finished = True

        # If a shell started the tests in the background, they would ignore SIGINT.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                interrupted_halfway()
        finally:
            signal.signal(signal.SIGINT, before)

        assert finished

    def test_two_commands_on_one_stack_take_turns(self, tmp_path: Path) -> None:
        """The second command prints that it waits, and continues when the first has ended."""
        script = (
            "import sys; from pathlib import Path; from infra.local.processes.lock import exclusive\n"
            "with exclusive(Path(sys.argv[1])): print('in')"
        )
        command = [sys.executable, "-u", "-c", script, str(tmp_path)]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as alone:
            assert alone.communicate()[0] == "in\n"

        with exclusive(tmp_path):
            second = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
            assert second.stdout is not None
            told = second.stdout.readline()
            waiting = second.poll() is None
        with second:
            after = second.communicate()[0]

        assert (told, waiting) == (f"another command is working on {tmp_path}; waiting for it\n", True)
        assert after == "in\n"


class TestStackFiles:
    def test_secrets_are_made_once_and_readable_by_their_owner_alone(self, home: Home) -> None:
        """The secrets stay the same, so tokens and signed URLs stay valid after a restart."""
        made = credentials.load_or_make(home.secrets)

        assert made == credentials.load_or_make(home.secrets)
        assert {file.stat().st_mode & 0o777 for file in home.secrets.iterdir()} == {0o600}
        assert made.media_keys[0].private_key.read_text().startswith("-----BEGIN PRIVATE KEY-----")

    def test_two_stacks_share_no_secret(self, tmp_path: Path) -> None:
        """A token of one stack is not valid in another."""
        one, other = (credentials.load_or_make(tmp_path / name) for name in ("one", "other"))

        assert one.jwt_secret != other.jwt_secret
        assert one.s3_secret_key != other.s3_secret_key

    def test_the_environment_file_has_a_name_and_a_value_a_line(self, home: Home) -> None:
        """Shells and other programs can parse the file. Only its owner can read it."""
        stack = Stack(home.root)
        stack.choose_ports()

        written = stack.write_environment()

        pairs = [line.split("=", 1) for line in written.read_text().splitlines()]
        assert dict(pairs) == stack.environment()
        assert all(value and "\n" not in value and " " not in value for _name, value in pairs)
        assert written.stat().st_mode & 0o777 == 0o600

    def test_a_stack_that_never_started_has_no_addresses(self, home: Home) -> None:
        """An error is better than a worker that connects to a wrong address."""
        with pytest.raises(StackError, match="start it first"):
            Stack(home.root).environment()

    def test_a_process_knows_its_name_and_the_stack(self, home: Home) -> None:
        """A worker needs only its environment variables to join the stack."""
        stack = Stack(home.root)
        stack.choose_ports()
        show = "import os; print(os.environ['SHUTTERLINE_PROCESS'], os.environ['SHUTTERLINE_RUN_DIR'])"
        show += "; print(os.environ['SHUTTERLINE_KAFKA'], os.environ['SHUTTERLINE_LANES'])"

        process = stack.start_process("worker-2", [sys.executable, "-c", show], {"SHUTTERLINE_LANES": "bulk"})

        wait_until("it has printed all", lambda: process.log_tail().endswith("bulk"))
        kafka = stack.environment()["SHUTTERLINE_KAFKA"]
        assert process.log_tail() == f"worker-2 {home.run}\n{kafka} bulk"
        stack.stop()

    def test_a_process_can_run_in_another_checkout(self, home: Home, tmp_path: Path) -> None:
        """Python finds the modules of the folder in which it is started."""
        stack = Stack(home.root)
        stack.choose_ports()

        process = stack.start_process(
            "worker-1", [sys.executable, "-c", "import os; print(os.getcwd())"], folder=tmp_path
        )

        wait_until("it has printed", lambda: process.log_tail() == str(tmp_path))
        stack.stop()

    def test_cleaning_keeps_the_library_alone(self, home: Home) -> None:
        """Downloaded servers stay, because the download takes minutes. Data, ports and secrets are
        removed."""
        stack = Stack(home.root)
        stack.choose_ports()
        stack.write_environment()
        (home.root / "lib").mkdir()
        process = stack.start_process("worker-1", SLEEP)

        stack.clean()

        assert process.pid is None
        assert [entry.name for entry in home.root.iterdir()] == ["lib"]

    def test_jars_of_another_version_are_missing(self, tmp_path: Path) -> None:
        """A stamp file names the POM of a download. A download that was interrupted has no
        stamp."""
        for kind in KINDS:
            (tmp_path / kind).mkdir()
        (tmp_path / "kafka" / ".complete").write_text("of another version")

        assert missing(tmp_path) == list(KINDS)

    def test_without_jars_the_start_says_how_to_get_them(self, home: Home, tmp_path: Path) -> None:
        """The error names the command, and no server is started."""
        stack = Stack(home.root, library=tmp_path)

        with pytest.raises(StackError, match="make servers"):
            stack.start_servers()
        assert stack.running() == set()
