"""Play scenarios on one broker: all at the same time, and then those that kill the broker."""

import asyncio
from collections.abc import Callable, Mapping

from bench.lag.group import ScenarioGroup, broker
from bench.lag.scenarios import SCENARIOS, Scenario
from bench.lag.trace import Trace


async def play_all(
    kafka: str,
    *,
    kill: Callable[[], None],
    start: Callable[[], None],
    scenarios: Mapping[str, Scenario] = SCENARIOS,
) -> dict[str, Trace]:
    """Return the trace of each scenario. `kill` ends the broker at once; `start` returns when it is back."""
    traces: dict[str, Trace] = {}
    async with broker(kafka, kill=kill, start=start) as clients:

        async def play(name: str, scenario: Scenario) -> None:
            group = ScenarioGroup(clients, scenario.partitions, scenario.still_s)
            await group.open()
            try:
                await scenario.play(group)
            finally:
                await group.close()
            traces[name] = group.trace

        async with asyncio.TaskGroup() as tasks:
            for name, scenario in scenarios.items():
                if not scenario.kills_broker:
                    tasks.create_task(play(name, scenario))
        for name, scenario in scenarios.items():
            if scenario.kills_broker:
                await play(name, scenario)
    return traces
