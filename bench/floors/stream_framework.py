"""Stream-Framework as a rival for deliveries, in a virtual environment of its own.

Its last version (1.4.0, 2016) needs redis-py 2, and its feed manager does not compile since Python
3.7, because `async` is an argument there. So this calls its feeds as the manager's fan-out does: the
activity is stored once, then added to each follower's feed.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PINS = ("stream-framework==1.4.0", "redis==2.10.6")
SCRIPT = """
import json, sys, time
from datetime import datetime
from stream_framework import settings
host, port, photos, first, count = sys.argv[1], *map(int, sys.argv[2:])
settings.STREAM_REDIS_CONFIG = {"default": {"host": host, "port": port, "db": 0, "password": None}}
from stream_framework.activity import Activity
from stream_framework.feeds.redis import RedisFeed
from stream_framework.verbs.base import Add

class Feed(RedisFeed):
    key_format = "sf:%(user_id)s"
    max_length = 500

now = int(time.time() * 1000) % 10**9
activities = [Activity(1, Add, now + n, time=datetime.utcnow()) for n in range(photos)]
began_s, used_s = time.monotonic(), time.process_time()
for activity in activities:
    Feed.insert_activity(activity)
    with Feed.get_timeline_batch_interface() as batch:
        for owner in range(first, first + count):
            Feed(owner).add_many([activity], batch_interface=batch, trim=True)
print(json.dumps([time.monotonic() - began_s, time.process_time() - used_s]))
"""


@dataclass(frozen=True, slots=True)
class StreamFramework:
    """`python` runs in the environment, which `install` makes."""

    python: Path

    @classmethod
    def install(cls, folder: Path) -> "StreamFramework":
        """Make the environment in `folder`, unless it is there. Needs the package index.

        Raises:
            CalledProcessError: It cannot be installed.
        """
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PINS], check=True)
            (folder / "complete").touch()
        return cls(python)

    def deliver(self, host: str, port: int, photos: int, owners: Sequence[int]) -> tuple[float, float]:
        """Deliver so many photos to owners with consecutive ids; returns seconds and seconds of its CPU."""
        numbers = [port, photos, owners[0], len(owners)]
        done = subprocess.run(
            [self.python, "-c", SCRIPT, host, *map(str, numbers)], check=True, capture_output=True, text=True
        )
        took_s, used_s = json.loads(done.stdout)
        return took_s, used_s
