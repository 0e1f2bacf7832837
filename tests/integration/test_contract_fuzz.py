"""What the OpenAPI document allows is answered as it says, and what it forbids is refused."""

import subprocess
import sys
from pathlib import Path

from schemas.ids import UserId
from shutterline.tokens import mint_token
from tests.integration.conftest import DeploymentFactory

SEED = 20_261_129
EXAMPLES = 25
SECONDS_MAX = 240
# So high that the caller's own pace is not what is tested.
PACE = 100_000


def test_every_route_keeps_its_contract(deploy: DeploymentFactory, tmp_path: Path) -> None:
    """All checks of schemathesis, with a fixed seed; `schemathesis.toml` says what it cannot judge."""
    deployment = deploy(
        ops_open=0,
        reads_per_s=PACE,
        reads_burst=PACE,
        writes_per_s=PACE,
        writes_burst=PACE,
        uploads_per_minute=PACE,
    )
    deployment.start_api()
    token = mint_token(deployment.settings, UserId(2**62), roles=["ops"])
    configuration = Path(__file__).with_name("schemathesis.toml")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{deployment.settings.api}/openapi.json", "--no-color"),
            *("--checks", "all", "--seed", str(SEED), "--max-examples", str(EXAMPLES)),
            *("--header", f"Authorization: Bearer {token}"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout
