"""Replay or discard dead letters from a page: first it is counted what would be done, then it is done.

What is done is what was counted: the second form says what that was, and where the topics ended then. What
came later is left.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.auth.tokens import Caller
from api.http.problems import Problem, invalid, unavailable
from api.ops.gathering import facts_of
from api.ops.operator import form_of, require_ops
from api.ops.page import dead_letters_page
from api.ops.view import OpsView
from api.services import ByOperator, OpsService, WithHealth, WithOps
from schemas.envelope import Reason
from schemas.quoting import quoted
from streams.core.dead_letters import Selection
from streams.jobs.dead_letters.background import RunUnderWay
from streams.jobs.dead_letters.choice import Choice, there_now
from streams.jobs.dead_letters.counted import (
    COUNTED_S_MAX,
    Counted,
    CountNotKnown,
    CountUnderWay,
    decode_counted,
    encode_counted,
)
from streams.jobs.dead_letters.run import Action
from topics.catalogue import topics_with_dead_letters

DEAD_LETTERS_PATH = "/ops/dead-letters"


async def get_dead_letters(_: ByOperator, ops: WithOps, health: WithHealth) -> Response:
    """What waits, the runs over it, and the form that begins one."""
    return dead_letters_page(await facts_of(ops, health), OpsView())


async def post_dead_letters(request: Request, ops: WithOps, health: WithHealth) -> Response:
    """Count what a run would do; with `count`, which says what was counted, do it."""
    form = await form_of(request)
    operator = await require_ops(request, form.get("token", ""), ops.verifier)
    if "count" in form:
        return await _begin(form["count"], operator, ops)
    action, choice = _action(form), _choice(form)
    try:
        async with asyncio.timeout(ops.settings.ops_rehearsal_s_max):
            with ops.one_count.counting():
                choice = await there_now(choice, ops.runs.topics().log)
                counts = await ops.runs.rehearse(action, choice)
    except CountUnderWay:
        raise Problem(
            HTTPStatus.CONFLICT, "This process counts dead letters already; try again in some seconds."
        ) from None
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
        count=encode_counted(Counted(action, choice, ops.clock_us() // 1_000)),
        is_by_header="authorization" in request.headers,
    )


async def _begin(count: str, operator: Caller, ops: OpsService) -> Response:
    """Do what was counted.

    Raises:
        Problem: 409 for a count that is too old, or none, or while another run is under way.
    """
    try:
        counted = decode_counted(count, ops.clock_us() // 1_000)
        await ops.runs.start(counted.action, counted.choice, by=f"user {operator.user_id}")
    except CountNotKnown:
        raise Problem(
            HTTPStatus.CONFLICT, f"The count is older than {COUNTED_S_MAX} s, or not valid. Count again."
        ) from None
    except RunUnderWay:
        raise Problem(HTTPStatus.CONFLICT, "Another run is under way; try again when it has ended.") from None
    return RedirectResponse(DEAD_LETTERS_PATH, HTTPStatus.SEE_OTHER)


def _action(form: Mapping[str, str]) -> Action:
    action = form.get("action", "")
    if action not in set(Action):
        raise invalid(ValueError(f"action is {quoted(action)}, but must be one of {', '.join(Action)}"))
    return Action(action)


def _choice(form: Mapping[str, str]) -> Choice:
    """Return the dead letters of one topic or all, of one reason or all."""
    topics = {topic.name: topic for topic in topics_with_dead_letters()}
    topic, reason = form.get("topic", ""), form.get("reason", "")
    if topic and topic not in topics:
        raise invalid(ValueError(f"topic is {quoted(topic)}, but must be one of {', '.join(topics)}"))
    if reason and reason not in set(Reason):
        raise invalid(ValueError(f"reason is {quoted(reason)}, but must be one of {', '.join(Reason)}"))
    return Choice(
        [topics[topic]] if topic else list(topics.values()),
        Selection(reasons=frozenset([reason] if reason else [])),
    )
