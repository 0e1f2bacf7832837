"""What Prometheus itself says of the rules. promtool comes with Prometheus."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.infra.monitoring.rules import PROMETHEUS

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must say that all is well."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    """Also their templates. Two rules that record the same series would be an error."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted((PROMETHEUS / "rules").glob("*.yml")))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_rules_do_what_their_cases_say(path: Path) -> None:
    """Each alert fires when it should and is silent when not."""
    promtool("test", "rules", path)
