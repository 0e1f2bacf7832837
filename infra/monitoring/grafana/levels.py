"""The levels of a panel, of the bounds of its alerts."""

from collections.abc import Iterable

from grafana_foundation_sdk.models.dashboard import Threshold

from infra.monitoring.grafana.panels import Color, Level
from infra.monitoring.grafana.rules import Alert, Comparison

COLORS = {"page": Color.RED, "ticket": Color.ORANGE}
_WORSE = list(Color).index


def level_of(alert: Alert, comparison: Comparison) -> Level | None:
    """Return the level at which a comparison becomes true, or None if its bound is itself measured.

    `== 1` and `== 0` compare what is 0 or 1.
    """
    if comparison.bound is None:
        return None
    color = COLORS[alert.severity]
    if (comparison.operator, comparison.bound) == ("==", 0):
        return Level(1, color, is_floor=True)
    return Level(comparison.bound, color, is_floor=comparison.operator in ("<", "<="))


def threshold_steps(levels: Iterable[Level]) -> list[Threshold]:
    """Return Grafana's steps: each has the colour from its value on, the first from below everything.

    Of two levels at one value the worse decides.

    Raises:
        ValueError: Some levels are floors and others are not, so no order of colours is right.
    """
    ordered = sorted(levels, key=lambda level: (level.value, _WORSE(level.color)))
    if len({level.is_floor for level in ordered}) > 1:
        raise ValueError(f"floors and ceilings in one panel: {ordered}")
    color_at = {level.value: level.color for level in ordered}
    if not ordered or not ordered[0].is_floor:
        colors = [Color.GREEN, *color_at.values()]
    else:
        colors = [*color_at.values(), Color.GREEN]
    values: list[float | None] = [None, *color_at]
    return [Threshold(value=value, color=color.value) for value, color in zip(values, colors, strict=True)]
