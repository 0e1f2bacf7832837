"""Wait until background processes answer, and stop waiting as soon as one has ended."""

import time
from collections.abc import Callable, Collection, Mapping

from infra.local.errors import StackError
from infra.local.processes.daemon import Daemon
from infra.local.progress import Progress, Silent

READY_DEADLINE_S = 120.0
LOOK_INTERVAL_S = 0.05


def wait_ready(
    checks: Mapping[Daemon, Callable[[], bool]],
    *,
    already_running: Collection[str] = (),
    progress: Progress | None = None,
    deadline_s: float = READY_DEADLINE_S,
) -> None:
    """Wait until the check of every process returns true.

    `already_running` names the processes that were started earlier; only the progress shows it.

    Raises:
        DaemonDiedError: One has ended; the message has the end of its log.
        StackError: One did not answer within the deadline; the message has the end of its log.
    """
    progress = progress or Silent()
    waiting = dict(checks)
    deadline = time.monotonic() + deadline_s
    while waiting:
        progress.doing(f"waiting for {', '.join(daemon.name for daemon in waiting)}")
        for daemon in list(waiting):
            if daemon.pid is None:
                raise daemon.death()
            if waiting[daemon]():
                del waiting[daemon]
                progress.done(
                    f"{daemon.name} {'runs already' if daemon.name in already_running else 'is ready'}"
                )
        if waiting and time.monotonic() > deadline:
            late = next(iter(waiting))
            raise StackError(
                f"{late.name} did not answer within {deadline_s:g} s. "
                f"The last lines of {late.log_file}:\n{late.log_tail()}"
            )
        time.sleep(LOOK_INTERVAL_S if waiting else 0)
