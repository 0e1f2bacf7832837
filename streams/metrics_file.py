"""Where the metrics of a process are: the file `RUN_DIR/PROCESS.metrics` has the address."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.settings import ProcessSettings


@contextmanager
def metrics_file(settings: ProcessSettings, host: str, port: int) -> Iterator[None]:
    """Name `host:port` in the file inside the block; the file is removed when the block ends."""
    path = settings.run_dir / f"{settings.process}.metrics"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{host}:{port}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
