"""`make sbom` writes a valid list of the locked packages."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# A requirement, its version, and the lines with its hashes, each of which continues the one before.
LOCKED = re.compile(r"^([\w.-]+)==(\S+)((?: *\\\n[^\\\n]*)*)", re.MULTILINE)


def test_the_sbom_has_every_locked_package(tmp_path: Path) -> None:
    """Name, version and hashes are those of the lock. The command itself validates the document by
    the schema of CycloneDX, and fails otherwise."""
    sbom = tmp_path / "sbom.json"
    # The virtual environment counts as ready: the target must not install anything during the tests.
    command = ["make", "--silent", "--old-file=.venv/.ready", f"SBOM={sbom}", "sbom"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert made.returncode == 0, made.stderr
    document = json.loads(sbom.read_text())
    lock = (ROOT / "requirements.txt").read_text()
    locked = {
        (name, version): set(re.findall(r"--hash=sha256:(\w+)", hashes))
        for name, version, hashes in LOCKED.findall(lock)
    }
    listed = {(each["name"], each["version"]): _hashes(each) for each in document["components"]}
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "shutterline")
    assert len(locked) > 100
    assert locked == listed


def _hashes(component: Any) -> set[str]:
    references = component["externalReferences"]
    return {each["content"] for reference in references for each in reference["hashes"]}
