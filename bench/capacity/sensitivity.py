"""How much the bill depends on each assumption."""

from dataclasses import dataclass

from bench.capacity.bill import bill_of
from bench.capacity.coefficients import Coefficients
from bench.capacity.load import ABOUT, Assumptions, Load

FACTOR = 2


@dataclass(frozen=True, slots=True)
class Effect:
    """The cores of the bill with an assumption at a half and at twice its value, if that is possible."""

    name: str
    value: float
    cores_at_half: float
    cores_at_double: float

    @property
    def range(self) -> float:
        return abs(self.cores_at_double - self.cores_at_half)


def effects(load: Load, assumed: Assumptions, coefficients: Coefficients) -> list[Effect]:
    """Vary each assumption that is no choice, the others as they are; the greatest effect comes first.

    A share goes up to 1 only.
    """

    def cores(name: str, value: float) -> float:
        return bill_of(load, assumed.with_values({name: value}), coefficients).cores

    found = []
    for name, about in ABOUT.items():
        if not about.is_choice:
            value: float = getattr(assumed, name)
            doubled = min(value * FACTOR, about.highest)
            found.append(Effect(name, value, cores(name, value / FACTOR), cores(name, doubled)))
    return sorted(found, key=lambda effect: -effect.range)
