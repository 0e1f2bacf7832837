"""The programs of Prometheus and Alertmanager, which no package of Python brings along."""

import shutil
from collections.abc import Sequence

from infra.local.errors import StackError

PROMETHEUS_NAMES = ("prometheus",)
# Debian's name, and that of the project's own archives.
ALERTMANAGER_NAMES = ("prometheus-alertmanager", "alertmanager")


def require_programs() -> None:
    """Raise StackError if one of them is not installed."""
    for names in (PROMETHEUS_NAMES, ALERTMANAGER_NAMES):
        program(names)


def program(names: Sequence[str]) -> str:
    """The path of the first of these programs that is installed.

    Raises:
        StackError: None is.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    raise StackError(
        f"there is no {' and no '.join(names)} in PATH: apt-get install prometheus prometheus-alertmanager"
    )
