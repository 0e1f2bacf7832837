"""What every store promises, as one class of tests for each port.

`test_stores.py` runs them on the twins, `tests/integration/test_store_contracts.py` on the
real servers. A suite knows neither: it gets `stores` (long lives), `brief_stores` (lives of
a second or two), `passing` (time) and `new_id` (ids that no other test has).
"""

import pytest

# Suites are not named as tests are, so their asserts would not explain themselves.
SUITES = (
    "cleaning",
    "cache",
    "checkpoints",
    "counted",
    "edges",
    "media",
    "photos",
    "small",
    "timelines",
    "uploads",
)
pytest.register_assert_rewrite(*(f"tests.contract.{name}_suite" for name in SUITES))
