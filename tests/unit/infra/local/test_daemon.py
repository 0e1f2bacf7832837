"""Programs that run in the background under a name."""

import os
import threading
from pathlib import Path

from infra.local.paths import Home
from infra.local.processes.daemon import Daemon


def test_a_process_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """The kernel knows threads: it would kill the process with the one that forked it."""
    daemon = Daemon("sleeper", Home(tmp_path), dies_with_parent=True)
    asking = threading.Thread(target=daemon.spawn, args=(["sleep", "60"], dict(os.environ), tmp_path))
    try:
        asking.start()
        asking.join()

        assert not daemon.wait_gone(0.2)
    finally:
        daemon.forget()
