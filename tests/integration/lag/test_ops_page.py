"""The page /ops on real servers: a worker is killed, and the page says so without being loaded again."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Browser, Page

from bench.traffic.waiting import eventually
from infra.local.deployment import Deployment
from schemas.facts import UserFollowed
from schemas.ids import UserId
from schemas.operations import encode_switch_moved
from shutterline.tokens import mint_token
from streams.clock import unix_ms
from streams.core.overload.switches import Switch, SwitchState
from streams.kafka.producing.producer import Outgoing
from streams.overload.watch import sentence
from streams.stores.connect import connect_coordination
from tests.integration.conftest import DeploymentFactory
from tests.scenes.browser import chromium, executable
from topics.catalogue import FOLLOWS, OPERATIONS

pytestmark = pytest.mark.skipif(executable() is None, reason="there is no Chromium on PATH")

OPERATOR = UserId(7)
# A killed worker is a member until its session ends, after 6 s. Then the monitor needs two samples.
SHOWN_MS = 30_000
STOP_S_MAX = 5.0


@asynccontextmanager
async def live_page(browser: Browser, deployment: Deployment) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(f"{deployment.settings.api}/ops")
    await page.get_by_role("status").get_by_text("Live", exact=True).wait_for(timeout=SHOWN_MS)
    await page.get_by_text("Nothing needs you").wait_for(timeout=SHOWN_MS)
    await page.evaluate("window.loadedOnce = true")
    yield page
    assert await page.evaluate("window.loadedOnce"), "the page was loaded again"
    await page.close()


async def open_breaker(deployment: Deployment) -> None:
    """Move the switch as a worker does: it is stored, and then it is on the topic `operations`."""
    state = SwitchState(switch=Switch.BREAKER, is_on=True, since_ms=unix_ms(), measured=5_000_001, version=1)
    async with connect_coordination(deployment.settings, timeout_ms=5_000) as stores:
        assert await stores.switches.move(state)
    record = encode_switch_moved(
        switch=state.switch.value,
        is_on=state.is_on,
        at_ms=state.since_ms,
        measured=state.measured,
        version=state.version,
        sentence=sentence(state),
    )
    topic = OPERATIONS.named(deployment.namespace)
    await deployment.publish([Outgoing(topic, 0, state.switch.value.encode(), record)])


async def test_a_killed_worker_changes_verdict_heat_map_and_overload_of_an_open_page(
    deploy: DeploymentFactory,
) -> None:
    """Then the page says it without a script, too; a lane leads to the record that waits; and the API ends in
    time although the browser listens. Before that, an operator discards a dead letter."""
    deployment = deploy()
    deployment.start_all(monitor=True)
    async with chromium() as browser:
        await assert_a_dead_letter_is_discarded(browser, deployment)
        async with live_page(browser, deployment) as page:
            await page.locator("#processes .state.ok").wait_for(timeout=SHOWN_MS)
            await page.locator("#sources .state.ok").wait_for(timeout=SHOWN_MS)
            deployment.stack.process(f"{deployment.namespace}worker-1").kill()
            await deployment.publish(
                deployment.outgoing(UserFollowed(follower_id=UserId(number), followee_id=UserId(1_000)))
                for number in range(1, 41)
            )
            await open_breaker(deployment)
            stopped = page.locator("#verdicts .verdict.stopped")
            await stopped.get_by_text("follows").wait_for(timeout=SHOWN_MS)
            await page.locator("#heat h3", has_text="follows").wait_for(timeout=SHOWN_MS)
            await page.locator("#overload .state.open").wait_for(timeout=SHOWN_MS)
            await page.locator("#overload td", has_text="5,000,001").wait_for(timeout=SHOWN_MS)
            await page.locator("#rebalances td", has_text="worker-1").first.wait_for(timeout=SHOWN_MS)
            await page.locator("#processes .state.silent").wait_for(timeout=SHOWN_MS)

            await assert_readable_without_script(browser, deployment)
            await assert_leads_to_the_record(deployment)
            await assert_says_when_it_is_not_live(page, deployment)
            began_s = time.monotonic()
            deployment.stack.stop_process(f"{deployment.namespace}api")
            assert time.monotonic() - began_s < STOP_S_MAX


async def assert_says_when_it_is_not_live(page: Page, deployment: Deployment) -> None:
    """While the API hangs its connections stay open, so the browser does not tell the script."""
    status = page.get_by_role("status")
    pid = deployment.stack.process(f"{deployment.namespace}api").pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await status.get_by_text("Not live since").wait_for(timeout=SHOWN_MS)
    finally:
        os.kill(pid, signal.SIGCONT)
    await status.get_by_text("Live", exact=True).wait_for(timeout=SHOWN_MS)


async def assert_readable_without_script(browser: Browser, deployment: Deployment) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{deployment.settings.api}/ops")
    first = page.locator("#verdicts .verdict").first
    assert "STOPPED" == await first.locator(".state").inner_text()
    assert "nobody reads it" in await first.inner_text()
    await context.close()


async def assert_leads_to_the_record(deployment: Deployment) -> None:
    """With its key; the value for a token with the role."""
    token = mint_token(deployment.settings, OPERATOR, roles=["ops"])
    headers = {"Authorization": f"Bearer {token}"}
    topic = FOLLOWS.named(deployment.namespace)
    async with httpx.AsyncClient(base_url=deployment.settings.api) as client:
        rows = (await client.get("/ops/tables/lanes.json?filter=follows")).json()
        [group] = [row["group"] for row in rows if row["topic"] == topic]
        partitions = (
            await client.get("/ops/tables/partitions.json", params={"group": group, "topic": topic})
        ).json()
        waiting = next(row["partition"] for row in partitions if row["lag_messages"])
        address = f"/ops/groups/{group}/{topic}/{waiting}"
        anybody, operator = await client.get(address), await client.get(address, headers=headers)

    assert "user.followed.v1" in anybody.text
    assert "followee_id" not in anybody.text
    assert "followee_id" in operator.text


async def assert_a_dead_letter_is_discarded(browser: Browser, deployment: Deployment) -> None:
    """By the forms of the page, on real Kafka and Cassandra; the table of runs has it within seconds."""
    token = mint_token(deployment.settings, OPERATOR, roles=["ops"])
    await deployment.publish([Outgoing(FOLLOWS.named(deployment.namespace), 0, b"7", b"{}")])
    page = await browser.new_page()

    async def counted() -> str:
        shown = await page.goto(f"{deployment.settings.api}/ops/dead-letters")
        if shown is None or not shown.ok:
            return ""  # The monitor has no report yet.
        await page.locator("select[name=action]").select_option("discard")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Count").click()
        return await page.locator("main").inner_text()

    async def is_counted() -> bool:
        return "1 of follows with not_cloudevent would be discarded" in await counted()

    await eventually("the dead letter is counted", is_counted)
    confirm = page.locator(".confirm")
    await confirm.get_by_label("Token").fill(token)
    await confirm.get_by_role("checkbox").check()
    await confirm.get_by_role("button").click()
    await page.locator(".confirm").wait_for(state="detached")

    async with httpx.AsyncClient(base_url=deployment.settings.api) as client:

        async def is_recorded() -> bool:
            runs = (await client.get("/ops/tables/runs.json")).json()
            return [("finished", f"user {OPERATOR}")] == [(run["state"], run["by"]) for run in runs]

        await eventually("the run is recorded", is_recorded)
    assert "1 were replayed or discarded before" in await counted()
    await page.close()
