"""Runbooks as pages."""

import re
from pathlib import Path

import pytest

from api.ops import runbooks
from api.ops.runbooks import address_of, runbook
from streams.core.lag.states import RUNBOOKS

VERDICTS = Path(runbooks.__file__).with_name("verdicts.py")


def test_every_state_and_every_other_verdict_has_a_runbook() -> None:
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', VERDICTS.read_text())) & {
        path.stem for path in runbooks.FOLDER.glob("*.md")
    }
    assert {"breaker-open", "shedding-on", "store-errors", "clock-off", "dead-letters-old"} == named
    for path in RUNBOOKS.values():
        address = address_of(path)
        assert address is not None
        assert runbook(address.rsplit("/", 1)[1]) is not None


@pytest.mark.parametrize("path", [None, "", "docs/operations.md", "docs/runbooks/../x.md"])
def test_only_a_runbook_has_an_address(path: str | None) -> None:
    assert address_of(path) is None


def test_html_in_a_runbook_is_text_and_links_are_those_that_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runbooks, "FOLDER", tmp_path)
    (tmp_path / "one.md").write_text(
        "# One\n\n## The groups\n\n<script>x</script> [two](two.md#at) [metrics](../metrics.md)\n"
    )
    html = runbook("one") or ""

    assert '<h2 id="the-groups">' in html
    assert '<a href="/ops/runbooks/two#at">two</a> metrics' in html
    assert "<script>" not in html


def test_names_that_are_not_there_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask for any name."""
    monkeypatch.setattr(runbooks, "FOLDER", tmp_path)
    before = runbooks._rendered.cache_info().currsize
    assert [None] * 9 == [runbook(f"nothing-{number}") for number in range(9)]
    assert before == runbooks._rendered.cache_info().currsize
    (tmp_path / "nothing-1.md").write_text("# Something")
    assert "Something" in (runbook("nothing-1") or "")
