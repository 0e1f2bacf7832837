"""What every store promises, as test classes, one or more for each port.

`test_stores.py` runs them on the in-memory twins, `tests/integration/test_store_contracts.py` on the
real servers. A suite does not know which of them it tests. It gets `stores` (with long TTLs),
`brief_stores` (with TTLs of a second or two), `passing` (time) and `new_id` (ids that no other test uses).
"""

from pathlib import Path

import pytest

# pytest rewrites asserts only in modules that it collects; without this, a failing suite explains nothing.
pytest.register_assert_rewrite(
    *(f"tests.contract.suites.{path.stem}" for path in Path(__file__).parent.glob("suites/*_suite.py"))
)
