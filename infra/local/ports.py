"""The ports of a stack: those that the environment names, else those of the last run, else free ones."""

import itertools
import json
import random
import socket
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from infra.local.errors import StackError
from infra.local.layout import Layout

# Every port, and the process that listens on it, in a stack of one node.
OWNERS: Mapping[str, str] = Layout().port_owners()
# Below 32768. From there on the kernel uses ports for outgoing connections, so a chosen port could
# be in use at the next run.
FIRST, LAST = 20_000, 29_999
TRIES_MAX = 1_000
# Ports are chosen in turn, so that one which is chosen and not listened on yet is not chosen again: from a
# place at random, since two stacks may start in the same second, and in steps, since the API also uses the
# ports behind its own. The step is a prime, so the turns come through the whole range.
STEP = 7_919
_turns = itertools.count(random.randrange(LAST), STEP)


def is_free(port: int) -> bool:
    """Whether no program listens on the port on the loopback interface."""
    with socket.socket() as probe:
        # A port whose connections are all in TIME_WAIT counts as free: the servers can use it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def given(environment: Mapping[str, str], owners: Mapping[str, str] = OWNERS) -> dict[str, int]:
    """The ports named by SHUTTERLINE_KAFKA_PORT, SHUTTERLINE_API_PORT and so on.

    Raises:
        StackError: One of them is not a port, or two are the same.
    """
    ports: dict[str, int] = {}
    for name in owners:
        variable = variable_of(name)
        text = environment.get(variable)
        if text is None:
            continue
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
            raise StackError(f"{variable} is {text!r}; a port is a number from 1 to 65535")
        if int(text) in ports.values():
            raise StackError(f"{variable} is {text}, which is another server's port too; give each its own")
        ports[name] = int(text)
    return ports


def variable_of(name: str) -> str:
    """The environment variable that names a port."""
    return f"SHUTTERLINE_{name.upper().replace('-', '_')}_PORT"


def choose(
    wanted: Mapping[str, int],
    remembered: Mapping[str, int],
    running: Collection[str],
    free: Callable[[int], bool] = is_free,
    owners: Mapping[str, str] = OWNERS,
) -> dict[str, int]:
    """A port for each name, all different.

    While any process of the stack is `running`, no port changes, because that process knows the
    addresses of the others.

    Raises:
        StackError: A port that has to be used is taken by another program, or differs from the one in use;
            or one is wanted that this stack does not have.
    """
    if unknown := sorted(wanted.keys() - owners.keys()):
        raise StackError(
            f"{variable_of(unknown[0])} names no port of this stack; its ports are {', '.join(owners)}"
        )
    chosen: dict[str, int] = {}
    for name, owner in owners.items():
        port = wanted.get(name, remembered.get(name))
        if running and name in remembered and port != remembered[name]:
            raise StackError(
                f"{name} is to have port {port}, but this stack runs with {remembered[name]}: "
                "run `make down` first"
            )
        if port is not None and (owner in running or free(port)):
            chosen[name] = port
        elif port is not None and (name in wanted or running):
            raise StackError(
                f"port {port} of {name} is taken by another program: end that, or run `make down` and give "
                f"another one with {variable_of(name)}"
            )
        else:
            chosen[name] = unused({*wanted.values(), *remembered.values(), *chosen.values()}, free)
    return chosen


def load(path: Path) -> dict[str, int]:
    """The ports of the last run; none if there was no run or its file is damaged."""
    try:
        stored = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: port for name, port in stored.items() if isinstance(port, int)}


def save(path: Path, ports: Mapping[str, int]) -> None:
    path.write_text(json.dumps(ports, indent=2) + "\n")


def unused(avoid: Collection[int], free: Callable[[int], bool] = is_free) -> int:
    """A port that no program listens on, and none of `avoid`.

    A process gets the same port a second time only after all others.

    Raises:
        StackError: Too many ports in a row are taken.
    """
    for turn in itertools.islice(_turns, TRIES_MAX):
        port = FIRST + turn % (LAST + 1 - FIRST)
        if port not in avoid and free(port):
            return port
    raise StackError(f"no free port found from {FIRST} to {LAST} in {TRIES_MAX} tries")
