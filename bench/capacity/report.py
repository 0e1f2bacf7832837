"""The bill of materials as tables for people and as JSON for programs."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from bench.capacity.bill import PROCESSES_MIN, Bill, bill_of
from bench.capacity.ceilings import (
    Ceiling,
    LaneNeed,
    ceilings,
    fitting_profile,
    lane_needs,
    to_grow,
    too_small,
)
from bench.capacity.check import WITHIN, Prediction, Run
from bench.capacity.coefficients import Coefficients
from bench.capacity.load import ABOUT, Assumptions, Load
from bench.capacity.sensitivity import Effect, effects
from topics.sizes import Profile

EFFECTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Report:
    """A bill with all that the command says about it."""

    bill: Bill
    lanes: tuple[LaneNeed, ...]
    ceilings: tuple[Ceiling, ...]
    effects: Sequence[Effect]
    assumed: Assumptions
    coefficients: Coefficients

    @classmethod
    def of(cls, load: Load, assumed: Assumptions, coefficients: Coefficients) -> "Report":
        bill = bill_of(load, assumed, coefficients)
        return cls(
            bill,
            lane_needs(load, assumed, coefficients),
            ceilings(bill, assumed),
            effects(load, assumed, coefficients),
            assumed,
            coefficients,
        )

    def sentences(self) -> Iterator[str]:
        """What binds first, which profile fits, which ceilings the load exceeds, what matters most."""
        component, limit, users = self.bill.binds_first
        servers = ", ".join(f"{server.smallest} {server.name}" for server in self.bill.servers)
        yield (
            f"Binds first: {limit.name} of {component.name}. The smallest cluster ({servers}, "
            f"{PROCESSES_MIN} processes of each kind) is enough up to {number(users)} users."
        )
        profile = fitting_profile(self.lanes)
        if profile is None:
            lacking = ", ".join(
                f"{lane.name} needs {lane.partitions} partitions and has {lane.of_profile(Profile.LARGE)}"
                for lane in too_small(self.lanes, Profile.LARGE)
            )
            yield f'No profile is enough, not even "{Profile.LARGE}": {lacking}.'
        else:
            yield f'The smallest profile that is enough is "{profile}".'
        if growing := to_grow(self.lanes, profile or Profile.LARGE):
            topics = ", ".join(f"{name} to {partitions}" for name, partitions in growing.items())
            yield f"Upstream topics must grow beyond the profile: {topics} partitions."
        for ceiling in self.ceilings:
            verb = "Exceeded" if ceiling.is_exceeded else "Within"
            yield f"{verb}: {ceiling.name}, {number(ceiling.need)} of {number(ceiling.bound)}."
        most = self.effects[0]
        yield (
            f"Matters most: {most.name} ({ABOUT[most.name].unit} {ABOUT[most.name].meaning}), "
            f"{number(most.cores_at_half)} cores at half of {number(most.value)}, "
            f"{number(most.cores_at_double)} at twice."
        )

    def as_json(self) -> dict[str, Any]:
        """Every figure, the assumptions and the sources; the same input gives the same text."""
        component, limit, users = self.bill.binds_first
        profile = fitting_profile(self.lanes)
        return {
            "load": asdict(self.bill.load),
            "cores": self.bill.cores,
            "components": {
                component.name: {
                    "count": component.count,
                    "cores": component.cores_in_all,
                    "binds": component.binds,
                    "needs": {limit.name: limit.need for limit in component.by_need},
                    "smallest": component.smallest,
                    "smallest_suffices_users": component.smallest_suffices * self.bill.load.users,
                }
                for component in self.bill.components
            },
            "binds_first": {"component": component.name, "limit": limit.name, "users": users},
            "storage_tb": dict(self.bill.storage_tb),
            "network_gbit_per_s": dict(self.bill.network_gbit),
            "partitions": {lane.name: lane.partitions for lane in self.lanes},
            "profile": profile.value if profile else None,
            "ceilings": {
                each.name: {"need": each.need, "bound": each.bound, "exceeded": each.is_exceeded}
                for each in self.ceilings
            },
            "effects": [asdict(effect) for effect in self.effects],
            "assumptions": {
                name: {"value": getattr(self.assumed, name), "unit": about.unit, "choice": about.is_choice}
                for name, about in ABOUT.items()
            },
            "coefficients": {
                "cpu_ms": {
                    f"{work}, {part}": asdict(one) for (work, part), one in self.coefficients.cpu_ms.items()
                },
                "bytes": {name: asdict(one) for name, one in self.coefficients.sizes.items()},
            },
        }


def bill_table(bill: Bill) -> Table:
    """One line a component: how many, and by which limits."""
    table = _table("component", ">count", ">cores", "binds", "other limits", ">smallest is enough for, users")
    for component in bill.components:
        others = [limit for limit in component.by_need if limit.name != component.binds]
        table.add_row(
            component.name,
            f"{component.count:,}",
            number(component.cores_in_all),
            component.binds,
            ", ".join(f"{limit.name} {number(limit.need)}" for limit in others),
            number(component.smallest_suffices * bill.load.users),
        )
    table.add_row("in all", "", number(bill.cores), "", "", "")
    return table


def amounts_table(bill: Bill) -> Table:
    """Storage with all replicas, and network at the peak."""
    table = _table("storage, with all replicas, and network at the peak", ">amount", "")
    for name, terabytes in bill.storage_tb.items():
        table.add_row(name, number(terabytes), "TB")
    for name, gbit in bill.network_gbit.items():
        table.add_row(name, number(gbit), "Gbit/s")
    return table


def partitions_table(lanes: Iterable[LaneNeed]) -> Table:
    """What each lane needs, beside what the profiles have."""
    table = _table("partitions of", ">needed", *(f">{profile}" for profile in Profile))
    for lane in lanes:
        table.add_row(
            lane.name, str(lane.partitions), *(str(lane.of_profile(profile)) for profile in Profile)
        )
    return table


def effects_table(found: Sequence[Effect]) -> Table:
    """The assumptions that change the bill most."""
    table = _table("assumption", ">value", "unit", ">cores at half", ">cores at twice")
    for effect in found[:EFFECTS_SHOWN]:
        about = ABOUT[effect.name]
        table.add_row(
            effect.name,
            number(effect.value),
            about.unit,
            number(effect.cores_at_half),
            number(effect.cores_at_double),
        )
    return table


def check_table(run: Run, rows: Iterable[Prediction]) -> Table:
    """Predicted and measured seconds of CPU of a run."""
    table = _table(run.name, ">predicted, s", ">measured, s", ">ratio", f"within {WITHIN:.0%}")
    for row in rows:
        verdict = "yes" if row.is_within else "no"
        table.add_row(row.name, number(row.predicted_s), number(row.measured_s), f"{row.ratio:.2f}", verdict)
    return table


def number(value: float) -> str:
    """Three digits that count, whole numbers from 100 on; M is a million, G a billion."""
    if math.isinf(value):
        return "any"
    for size, name in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:,.3g}{name}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(*columns: str) -> Table:
    """A table; a column whose name begins with `>` is aligned to the right."""
    table = Table()
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table
