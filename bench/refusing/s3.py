"""Make S3 refuse: with a gate of its own before the store, and with a proxy before that gate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from bench.refusing.refusing import Refusing
from bench.traffic.outage import SLOW_S
from bench.traffic.slow_proxy import SlowProxy
from infra.local import ports
from infra.local.paths import shared_library
from infra.local.servers.s3_gate import S3GateServer
from infra.local.stack import Stack


class RefusingGate(S3GateServer):
    """The gate. While `response` is set, it is the status and the code of every response.

    With `is_rotated` it knows another secret key than the programs.
    """

    response: tuple[int, str] | None = None
    is_rotated = False

    def facts(self) -> Mapping[str, object]:
        return {**super().facts(), **({"s3_secret_key": "rotated"} if self.is_rotated else {})}

    def configure(self) -> None:
        super().configure()
        if self.response is not None:
            status, code = self.response
            conf = self._conf_dir / self._conf_name
            refuse = f"return {status} '<Error><Code>{code}</Code></Error>';"
            conf.write_text(conf.read_text().replace("js_access gate.admit;", refuse))


@contextmanager
def responding(gate: RefusingGate, status: int, code: str) -> Iterator[None]:
    gate.response = (status, code)
    gate.reload()
    try:
        yield
    finally:
        gate.response = None
        gate.reload()


@contextmanager
def key_rotated(gate: RefusingGate) -> Iterator[None]:
    gate.is_rotated = True
    gate.reload()
    try:
        yield
    finally:
        gate.is_rotated = False
        gate.reload()


@contextmanager
def slow(proxy: SlowProxy) -> Iterator[None]:
    proxy.delay_s = SLOW_S
    try:
        yield
    finally:
        proxy.delay_s = 0.0


@contextmanager
def cut_short(proxy: SlowProxy) -> Iterator[None]:
    """Half of each response arrives."""
    proxy.cuts = True
    try:
        yield
    finally:
        proxy.cuts = False


@contextmanager
def refusing_s3(stack: Stack) -> Iterator[Refusing]:
    """A second gate before the stack's store."""
    chosen = {"s3": ports.unused(()), "s3_store": stack.server("s3").port}
    gate = RefusingGate(stack.home, shared_library(), chosen, dies_with_parent=True, name="s3_gate_refusing")
    gate.start()
    try:
        gate.wait_ready()
        with SlowProxy(gate.port) as proxy:
            yield Refusing(
                {"SHUTTERLINE_S3": f"http://127.0.0.1:{proxy.port}"},
                {
                    "403": partial(responding, gate, 403, "AccessDenied"),
                    "503": partial(responding, gate, 503, "SlowDown"),
                    "key rotated": partial(key_rotated, gate),
                    "slow": partial(slow, proxy),
                    "cut short": partial(cut_short, proxy),
                },
            )
    finally:
        gate.stop()
