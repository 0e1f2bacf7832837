"""The canary on real servers: its posts reach its feed, and nothing of them is left."""

from bench.traffic.waiting import eventually
from schemas.ids import UserId
from shutterline.client.feed import feed_client
from shutterline.tokens import tokens_for
from tests.integration.conftest import DeploymentFactory

POSTS_MIN = 5


async def test_the_canary_sees_its_posts_and_deletes_them(deploy: DeploymentFactory) -> None:
    """It is killed and started again meanwhile."""
    deployment = deploy(canary_interval_ms=300)
    deployment.start_all(monitor=True)
    seen = 'shutterline_canary_posts_total{outcome="seen"}'

    async def has_seen() -> bool:
        return deployment.metric(seen, "monitor") >= POSTS_MIN

    await eventually("the canary has seen its posts", has_seen)
    deployment.stack.process(f"{deployment.namespace}monitor").kill()
    deployment.start_monitor()
    await eventually("it goes on", has_seen)

    assert 0 == deployment.metric('shutterline_canary_posts_total{outcome="failed"}', "monitor")
    assert POSTS_MIN <= deployment.metric("shutterline_canary_freshness_seconds_count", "monitor")
    deployment.stack.stop_process(f"{deployment.namespace}monitor")
    await deployment.drained()
    settings = deployment.settings
    async with feed_client(settings, tokens_for(settings)) as client:
        walk = await client.walk(UserId(settings.canary_user), depth=100)
    # What the last process published and did not delete.
    assert len(walk.ids) <= 1
