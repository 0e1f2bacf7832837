"""The stack of the demo. A setting makes its worker push the celebrity's photo to timelines."""

import os
from pathlib import Path

from rich.console import Console

from infra.local import commands
from infra.local.deployment import Deployment
from infra.local.paths import Home
from infra.local.stack import Stack

PUSH_SETTING = "SHUTTERLINE_CELEBRITY_PUSH_FOLLOWERS_MAX"
PUSH_FOLLOWERS_MAX = 20_000


def start(home: Home, console: Console) -> Deployment:
    """Start what is missing. A worker that runs without the setting is restarted.

    Raises:
        StackError: Something did not start.
        KeyboardInterrupt: It was interrupted.
    """
    stack = Stack(home.root)
    worker = stack.process(commands.WORKER)
    if worker.pid is not None and not _has_setting(worker.pid):
        console.print(f"{commands.WORKER} is restarted with {PUSH_SETTING}={PUSH_FOLLOWERS_MAX}")
        stack.stop_process(commands.WORKER)
    os.environ[PUSH_SETTING] = str(PUSH_FOLLOWERS_MAX)
    commands.up(home, console, nodes=None, servers_only=False)
    console.print(
        f"Photos of accounts with 10,000 to {PUSH_FOLLOWERS_MAX:,} followers are pushed through the bulk "
        f"lane here ({PUSH_SETTING}); by default readers pull them.",
        highlight=False,
        soft_wrap=True,
    )
    stack = Stack(home.root)
    return Deployment(stack, "", {"SHUTTERLINE_API": stack.environment()["SHUTTERLINE_API"]})


def _has_setting(pid: int) -> bool:
    wanted = f"{PUSH_SETTING}={PUSH_FOLLOWERS_MAX}".encode()
    return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
