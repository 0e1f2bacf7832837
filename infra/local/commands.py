"""What `shutterline up`, `down`, `status` and `clean` do."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from infra.local import ports
from infra.local.errors import StackError
from infra.local.layout import ALERTMANAGER, MONITOR, NODES_ALLOWED, PROMETHEUS, Layout
from infra.local.monitoring.programs import require_programs
from infra.local.paths import PROJECT, Home
from infra.local.processes import kernel
from infra.local.processes.daemon import Daemon
from infra.local.processes.interrupts import deferred_interrupts, endings_interrupt
from infra.local.processes.lock import exclusive
from infra.local.processes.readiness import wait_ready
from infra.local.progress import Progress, shown
from infra.local.servers.probes import http_body, http_responds, process_responds
from infra.local.stack import Stack

API = "api"
WORKER = "worker-1"
MEDIA = "media-1"
MIB = 1024 * 1024


def up(
    home: Home, console: Console, *, nodes: int | None, servers_only: bool, with_monitoring: bool = False
) -> None:
    """Start what does not run yet; returns when everything is ready. `nodes` is None for as many as before.

    `with_monitoring` adds Prometheus and Alertmanager, which have to be installed.

    If it is interrupted, it stops the processes that it has started, but none that ran before.

    Raises:
        StackError: Something did not start. What did start keeps running.
        KeyboardInterrupt: It was interrupted.
    """
    began = time.monotonic()
    if with_monitoring:
        require_programs()  # Before anything is started.
    with endings_interrupt(), exclusive(home.root, console.print), shown(console) as progress:
        layout = None if nodes is None else Layout(nodes)
        stack = Stack(home.root, layout=layout, wanted_ports=ports.given(os.environ, _all_ports()))
        ran_before = stack.running()
        try:
            stack.start_servers(progress)
            stack.write_environment()
            if not servers_only:
                _start_programs(stack, progress)
            if with_monitoring:
                stack.start_monitoring(progress)
        except KeyboardInterrupt:
            progress.doing("interrupted; stopping what has been started")
            with deferred_interrupts():  # A second Ctrl-C does not leave half of it running.
                stack.stop(keep=ran_before)
                progress.done("interrupted; everything that this run had started is stopped")
            raise
    took_s = time.monotonic() - began
    console.print(f"Ready after {took_s:.1f} s. The addresses are in {home.environment_file}", soft_wrap=True)
    if with_monitoring:
        for name in (PROMETHEUS, ALERTMANAGER):
            console.print(f"{name}: http://127.0.0.1:{stack.port(name)}", soft_wrap=True)


def _all_ports() -> Mapping[str, str]:
    return {port: owner for nodes in NODES_ALLOWED for port, owner in Layout(nodes).port_owners().items()}


def down(home: Home, console: Console) -> None:
    """Stop everything; the data stays."""
    with exclusive(home.root, console.print), shown(console) as progress:
        stack = Stack(home.root)
        running = stack.running()
        progress.doing(f"stopping {', '.join(sorted(running))}")
        stack.stop()
        progress.done(f"stopped {', '.join(sorted(running))}" if running else "nothing was running")


def clean(home: Home, console: Console) -> None:
    """Stop everything and delete its data, also the stack of the tests."""
    with exclusive(home.root, console.print), shown(console) as progress:
        progress.doing("stopping everything")
        for root in (home.root / "test", home.root):
            if root.exists():
                Stack(root).clean()
        progress.done("deleted; the downloaded servers and .venv stay")


def rotate_media_key(home: Home, console: Console) -> None:
    """Sign photo URLs with a new key from now on; nothing has to be restarted."""
    with exclusive(home.root, console.print), shown(console) as progress:
        key = Stack(home.root).rotate_media_key()
        progress.done(f"{key.key_id} is the key that signs photo URLs; the previous one stays trusted")


def status(home: Home, console: Console) -> None:
    """Show every process of the stack, also those that have ended."""
    stack = Stack(home.root)
    table = Table("name", "pid", "port", "state", "uptime", "memory", box=None, header_style="bold")
    for daemon in stack.processes():
        table.add_row(*_facts(stack, daemon))
    console.print(table)
    if stack.process(MONITOR).pid is not None:
        console.print(_lanes(f"127.0.0.1:{stack.port(MONITOR)}"))


def _lanes(address: str) -> Table | str:
    """What the lag monitor says of each lane."""
    body = http_body(address, "/lag")
    if body is None:
        return "The lag monitor has no sample yet."
    table = Table("group", "topic", "state", "records wait", "seconds", box=None, header_style="bold")
    for group in json.loads(body)["groups"]:
        for topic in group["topics"]:
            figures = [
                "-" if topic[name] is None else f"{topic[name]:,}" for name in ("lag_messages", "lag_seconds")
            ]
            colour = "green" if topic["state"] == "OK" else "red"
            table.add_row(group["group"], topic["topic"], f"[{colour}]{topic['state']}[/{colour}]", *figures)
    return table


def _facts(stack: Stack, daemon: Daemon) -> Sequence[str]:
    port = stack.port(daemon.name)
    pid = daemon.pid
    seen = kernel.look(pid) if pid is not None else None
    if pid is None or seen is None:
        return daemon.name, "-", str(port or "-"), "[red]not running[/red]", "-", "-"
    state = "[yellow]paused[/yellow]" if seen.paused else "[green]running[/green]"
    uptime = timedelta(seconds=int(kernel.uptime_s(pid)))
    return (
        daemon.name,
        str(pid),
        str(port or "-"),
        state,
        str(uptime),
        f"{kernel.memory_bytes(pid) // MIB} MiB",
    )


def _start_programs(stack: Stack, progress: Progress) -> None:
    environment = {**os.environ, **stack.environment()}
    _run(["topics"], environment, progress)
    _run(["migrate"], environment, progress)
    running = stack.running()
    worker = stack.start_process(WORKER, _shutterline("worker"))
    media = stack.start_process(MEDIA, _shutterline("worker", "--media"))
    api = stack.start_process(API, _shutterline("api"))
    monitor = stack.start_process(MONITOR, _shutterline("monitor"))
    checks = {
        worker: lambda: process_responds(worker, "/readyz"),
        media: lambda: process_responds(media, "/readyz"),
        api: lambda: http_responds(f"127.0.0.1:{stack.port(API)}", "/readyz"),
        monitor: lambda: process_responds(monitor, "/readyz"),
    }
    wait_ready(checks, already_running=running, progress=progress)


def _shutterline(*arguments: str) -> list[str]:
    # As a module and not by its installed name, so that the command line works without an installation.
    return [sys.executable, "-m", "shutterline", *arguments]


def _run(arguments: Sequence[str], environment: Mapping[str, str], progress: Progress) -> None:
    """Run one of our own commands to its end. Its output is shown only if it fails."""
    began = time.monotonic()
    name = f"shutterline {' '.join(arguments)}"
    progress.doing(name)
    done = subprocess.run(
        _shutterline(*arguments),
        env=environment,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"`{name}` failed with exit code {done.returncode}:\n{done.stdout.strip()}")
    progress.done(f"{name}: {time.monotonic() - began:.1f} s")
