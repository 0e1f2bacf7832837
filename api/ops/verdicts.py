"""The sentences at the top of the page: one for each lane, and one for anything else that needs somebody."""

from collections.abc import Iterator
from dataclasses import dataclass

from api.ops.facts import Facts, Json
from api.ops.runbooks import address_of
from api.ops.shown import seconds
from api.ops.tables import lane_address
from api.ops.view import OpsView
from streams.core.lag.states import LagState

# Of the oldest dead letter, until somebody has to look: a week, as of the alarm DeadLettersOld. They expire
# after 30 days.
DEAD_LETTER_AGE_S_MAX = 7 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """`state` is a word that is also its colour. `since` is RFC 3339, None if it is not known."""

    state: str
    name: str
    address: str | None
    sentence: str
    since: str | None
    runbook: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to do anything."""
        return self.state == LagState.OK


def verdicts(facts: Facts, view: OpsView) -> list[Shown]:
    """Return what is wrong, the worst first, and then the lanes that are well.

    The view chooses lanes alone: breaker, stores, clock and dead letters are there in each.
    """
    lanes = [_of_lane(lane) for lane in facts.lanes(view)]
    bad = [shown for shown in lanes if not shown.is_well]
    return [*bad, *_others(facts), *(shown for shown in lanes if shown.is_well)]


def worst_of(facts: Facts) -> str:
    """Return the title of a tab: the worst state of all, and where, in every view. Without lanes, NO-DATA."""
    shown = verdicts(facts, OpsView())
    if not shown:
        return LagState.NO_DATA
    return LagState.OK if shown[0].is_well else f"{shown[0].state} {shown[0].name}"


def hidden(facts: Facts, view: OpsView) -> int:
    """Return how many lanes need somebody, but are not in the view."""
    return _not_well(facts, OpsView()) - _not_well(facts, view)


def _not_well(facts: Facts, view: OpsView) -> int:
    return sum(lane["state"] != LagState.OK for lane in facts.lanes(view))


def _of_lane(lane: Json) -> Shown:
    return Shown(
        state=lane["state"],
        name=lane["name"],
        address=lane_address(lane),
        sentence=f"{lane['reason']}.",
        since=lane["since"],
        runbook=address_of(lane.get("runbook")),
    )


def _others(facts: Facts) -> Iterator[Shown]:
    overload = facts.overview["lag"]["overload"]
    breaker, shedding = overload["breaker"], overload["shedding"]
    if breaker["state"] == "open":
        reason = breaker["reason"] or "all posts are deferred"
        yield _other("OPEN", "breaker", "#overload", f"{reason}.", "breaker-open", breaker["since"])
    if shedding["active"]:
        sentence = "posts of authors with few followers are deferred; readers see them as quickly as others."
        yield _other("SHEDDING", "shedding", "#overload", sentence, "shedding-on", shedding["since"])
    away = [store for store, responds in facts.stores.items() if responds is False]
    if away:
        yield _other("AWAY", ", ".join(away), "#stores", "not ready for this API process.", "store-errors")
    if facts.clock:
        yield _other("WRONG", "clock", "#stores", f"{facts.clock}.", "clock-off")
    for topic in facts.overview["dead_letters"] or []:
        age_s = topic["oldest_age_s"]
        if topic["waiting"] and age_s is not None and age_s > DEAD_LETTER_AGE_S_MAX:
            sentence = f"{topic['waiting']:,} dead letters wait, the oldest for {seconds(age_s)}."
            name = f"{topic['topic']}-dlq"
            yield _other("WAITING", name, "/ops/dead-letters", sentence, "dead-letters-old")


def _other(
    state: str, name: str, address: str, sentence: str, runbook: str, since: str | None = None
) -> Shown:
    return Shown(
        state=state,
        name=name,
        address=address,
        sentence=sentence,
        since=since,
        runbook=f"/ops/runbooks/{runbook}",
    )
