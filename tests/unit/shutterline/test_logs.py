"""What processes log: objects with the same keys, which events they speak of, and nothing personal."""

import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from shutterline.logs import Repeated
from streams.limited_log import INTERVAL_S
from streams.telemetry.lines import EVENTS_A_LINE_MAX


def line(name: str, template: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, template, args, None)


def test_a_driver_that_repeats_itself_is_heard_once_in_ten_seconds() -> None:
    """Lines that differ only in their values are the same line; another line is not delayed."""
    now_s = 100.0
    repeated = Repeated("driver", clock_s=lambda: now_s)

    first = [repeated.filter(line("driver.net", "no answer from %s", node)) for node in range(3)]
    other = repeated.filter(line("driver.net", "left the group"))
    now_s += INTERVAL_S
    last = line("driver.net", "no answer from %s", 4)
    later = repeated.filter(last)

    assert (first, other, later) == ([True, False, False], True, True)
    assert last.getMessage() == "no answer from 4 (2 more of this kind since the previous line)"


def test_other_loggers_are_never_limited() -> None:
    """The filter is on the handler, so it sees the lines of all loggers."""
    repeated = Repeated("driver", clock_s=lambda: 0.0)

    assert all(repeated.filter(line(name, "text")) for name in ("streams", "streams", "drivers", "drivers"))


LINES = """
import logging, sys, warnings
from shutterline.logs import access_events, log_to_stderr
from streams.settings import LogLevel
from streams.telemetry.causes import handling

log_to_stderr("worker-1", LogLevel(sys.argv[1]))
log = logging.getLogger("streams.photos")
log.debug("one by one", extra={"event_id": "e0"})
with handling({"group": "check", "topic": "uploads", "partition": 3}, lambda: ["e1", "e2"]):
    log.info("two\\nlines \\x1b[31m of %s", "text", extra={"store": "redis", "caption": "a cat"})
    log.info("its own", extra={"event_id": "e3", "partition": 4})
with handling({}, lambda: (f"e{n}" for n in range(1_000))):
    log.info("many")
logging.getLogger("aiokafka").info("too much")
logging.getLogger("uvicorn.error").error("a library's %s", 1)
warnings.warn("beware", stacklevel=1)


def fail(token):
    caption = "a secret caption"
    raise ValueError("of " + str(len(token)))


try:
    fail("a secret token")
except ValueError:
    log.exception("it failed")
access_events("api-1")("request", route="/v1/feed")
fail("a secret token")
"""


def lines(level: str = "info") -> list[Mapping[str, Any]]:
    """What a process logs that ends with an error, to standard error and then to standard output."""
    ended = subprocess.run(
        [sys.executable, "-c", LINES, level], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "secret" not in ended.stderr
    assert "cat" not in ended.stderr
    assert "\x1b" not in ended.stderr
    return [json.loads(line) for line in (ended.stderr + ended.stdout).splitlines()]


def test_every_line_is_an_object_with_the_same_keys() -> None:
    """Of our own lines, of those of libraries, of warnings, and of the error that ends the process."""
    logged = lines()

    assert [line["event"].split()[0] for line in logged] == [
        *("two", "its", "many", "a", "<string>:17:", "it", "ended", "request"),
    ]
    for line in logged:
        assert {"time", "level", "process", "logger", "event"} <= line.keys()
        assert line["time"].endswith("Z")
    assert {line["process"] for line in logged} == {"worker-1", "api-1"}


def test_a_line_says_which_events_are_handled() -> None:
    """Where it does not say so itself; and of very many the first ones."""
    first, own, many, *_ = lines()

    assert {
        "group": "check",
        "topic": "uploads",
        "partition": 3,
        "event_ids": ["e1", "e2"],
        "store": "redis",
        "logger": "streams.photos",
        "level": "info",
    }.items() <= first.items()
    assert "caption" not in first
    assert ("e3", 4) == (own["event_id"], own["partition"])
    assert "event_ids" not in own
    assert EVENTS_A_LINE_MAX == len(many["event_ids"])


def test_the_level_is_that_of_our_own_lines() -> None:
    """Libraries say far too much below warnings."""
    events = [line["event"] for line in lines("debug")]

    assert "one by one" in events
    assert "too much" not in events
    assert "its own" not in [line["event"] for line in lines("error")]


def test_an_exception_is_in_its_line_without_its_variables() -> None:
    """The variables of our functions are captions and tokens."""
    caught, ended = (line for line in lines() if "exception" in line)

    assert ("it failed", "ended by an error") == (caught["event"], ended["event"])
    [error] = caught["exception"]
    assert ("ValueError", "of 14") == (error["exc_type"], error["exc_value"])
    assert ["<module>", "fail"] == [frame["name"] for frame in error["frames"]]
    assert {"filename", "lineno", "name"} == set(error["frames"][0])


def test_a_terminal_gets_lines_for_people() -> None:
    """With the values of the fields, and with no command that is in a text."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", LINES, "info"], stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # The terminal is gone once the process has ended.
        while chunk := os.read(ours, 65_536):
            shown += chunk
    os.close(ours)
    process.wait(60)

    text = re.sub(r"\x1b\[\d*m", "", shown.decode())
    assert r"two\nlines \x1b[31m of text" in text
    assert "event_id=e3" in text
    assert "ValueError: of 14" in text
    assert "/v1/feed" in text
    assert not text.lstrip().startswith("{")
    assert "secret caption" not in text
