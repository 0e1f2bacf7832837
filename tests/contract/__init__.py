"""What every store promises, as test classes, one or more for each port.

`test_stores.py` runs the suites on the in-memory twins, `tests/integration/test_store_contracts.py`
on the real servers. A suite does not know which of them it tests. It gets the fixtures `stores`
(with long TTLs), `brief_stores` (with TTLs of at most two seconds), `passing` (time) and `new_id`
(ids that no other test uses).
"""

from pathlib import Path

import pytest

# pytest rewrites asserts only in modules that it collects. Without this call, a failing assert in a
# suite would not show the compared values.
pytest.register_assert_rewrite(
    *(f"tests.contract.suites.{path.stem}" for path in Path(__file__).parent.glob("suites/*_suite.py"))
)
