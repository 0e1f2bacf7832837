"""Replay or discard dead letters from a page: first it is counted what would be done, then it is done.

What is done is what was counted: the second form names the time of the count, and what failed later is left.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.http.problems import Problem, invalid, unavailable
from api.ops.gathering import facts_of
from api.ops.operator import form_of, require_ops
from api.ops.page import dead_letters_page
from api.ops.view import OpsView
from api.services import ByOperator, WithHealth, WithOps
from schemas.envelope import Reason
from schemas.quoting import quoted
from schemas.times import parse_rfc3339_us, rfc3339, utc_datetime
from streams.core.dead_letters import Selection
from streams.jobs.dead_letters.background import RunUnderWay
from streams.jobs.dead_letters.choice import Choice
from streams.jobs.dead_letters.run import Action
from topics.catalogue import topics_with_dead_letters

DEAD_LETTERS_PATH = "/ops/dead-letters"
# A count that is older says nothing of now.
COUNTED_S_MAX = 600


async def get_dead_letters(_: ByOperator, ops: WithOps, health: WithHealth) -> Response:
    """What waits, the runs over it, and the form that begins one."""
    return dead_letters_page(await facts_of(ops, health), OpsView())


async def post_dead_letters(request: Request, ops: WithOps, health: WithHealth) -> Response:
    """Count what a run would do; with `until`, the time of a count, do it."""
    form = await form_of(request)
    operator = await require_ops(request, form.get("token", ""), ops.verifier)
    action, now_us = _action(form), ops.clock_us()
    if "until" in form:
        choice = _choice(form, _counted_us(form["until"], now_us))
        try:
            await ops.runs.start(action, choice, by=f"user {operator.user_id}")
        except RunUnderWay:
            raise Problem(
                HTTPStatus.CONFLICT, "This process does a run already; try again when it has ended."
            ) from None
        return RedirectResponse(DEAD_LETTERS_PATH, HTTPStatus.SEE_OTHER)
    choice = _choice(form, now_us)
    try:
        async with asyncio.timeout(ops.settings.ops_rehearsal_s_max):
            counts = await ops.runs.rehearse(action, choice)
    except TimeoutError:
        raise unavailable(
            f"There are more than can be counted in {ops.settings.ops_rehearsal_s_max} s; use the command:"
            f" shutterline dead-letters {action} --help"
        ) from None
    return dead_letters_page(
        await facts_of(ops, health),
        OpsView(),
        action=action,
        counts=counts,
        chosen={name: form.get(name, "") for name in ("topic", "reason")},
        until=rfc3339(utc_datetime(now_us)),
        is_by_header="authorization" in request.headers,
    )


def _action(form: Mapping[str, str]) -> Action:
    action = form.get("action", "")
    if action not in set(Action):
        raise invalid(ValueError(f"action is {quoted(action)}, but must be one of {', '.join(Action)}"))
    return Action(action)


def _choice(form: Mapping[str, str], until_us: int) -> Choice:
    """Return the dead letters of one topic or all, of one reason or all, that failed before `until_us`."""
    topics = {topic.name: topic for topic in topics_with_dead_letters()}
    topic, reason = form.get("topic", ""), form.get("reason", "")
    if topic and topic not in topics:
        raise invalid(ValueError(f"topic is {quoted(topic)}, but must be one of {', '.join(topics)}"))
    if reason and reason not in set(Reason):
        raise invalid(ValueError(f"reason is {quoted(reason)}, but must be one of {', '.join(Reason)}"))
    return Choice(
        [topics[topic]] if topic else list(topics.values()),
        Selection(reasons=frozenset([reason] if reason else []), until_us=until_us),
    )


def _counted_us(text: str, now_us: int) -> int:
    """Return the time of a count that was made a short while ago."""
    try:
        counted_us = parse_rfc3339_us(text, "until")
    except ValueError as error:
        raise invalid(error) from None
    if not 0 <= now_us - counted_us <= COUNTED_S_MAX * 1_000_000:
        raise invalid(ValueError(f"until is {text}, but must be of the last {COUNTED_S_MAX} s: count again"))
    return counted_us
