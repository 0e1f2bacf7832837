"""Attack the API, and compare the pages of other users with those without the attack.

    python -m bench.attacks [--seconds 60] [--slice 10] [--attack NAME[,NAME]]

For each attack, quiet and attacked slices take turns. 40 other users of 40 addresses request 40 pages
a second, and post and like now and then. The attacker and the other users are processes of their own.
An attacker is a slow network client: its rate is bounded, so that it takes little of the CPU that it
shares with the API here.

The bench fails if the p99 of others' pages exceeds twice that without the attack, or if anything of
others was refused.
"""

import asyncio
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from rich.console import Console

from bench.attacks.attackers import ATTACKS, attack_in_slices
from bench.attacks.others import Response, live, responses_and_cpu
from bench.attacks.raw_client import Target
from bench.attacks.world import ATTACKER, CROWD, HOT_USER, OTHERS, REMOVER, Plan, make_network
from bench.measuring.cpu import CpuClock, CpuUse
from bench.measuring.running import bench_arguments, bench_stack
from infra.local.deployment import Deployment
from infra.local.stack import Stack
from schemas.ids import PhotoId
from shutterline.tokens import mint_token

RATIO_MAX = 2.0
WARM_UP_S = 3.0
# The local stack limits nothing by address; here each user has one.
ENVIRONMENT = {"SHUTTERLINE_LIMITS_BY_ADDRESS": "1", "SHUTTERLINE_CONNECTIONS_UNCOUNTED": ""}


def target_of(deployment: Deployment) -> Target:
    api = urlsplit(deployment.settings.api)
    users = [*OTHERS, *CROWD, ATTACKER, HOT_USER, REMOVER]
    return Target(
        api.hostname or "", api.port or 0, {user: mint_token(deployment.settings, user) for user in users}
    )


async def measure(
    stack: Stack, target: Target, attack: str, plan_now: Callable[[], Plan]
) -> tuple[Plan, list[Response], list[CpuUse], float, float]:
    """Run a plan; returns it, all responses, the CPU of each attack, and that of others and attacker."""
    no_plan = replace(plan_now(), rounds=0)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as others, ProcessPoolExecutor(1, context) as attacker:
        # Nothing to do: once they have done it, they have imported their modules.
        others.submit(responses_and_cpu, target, no_plan).result()
        attacker.submit(attack_in_slices, attack, target, no_plan).result()
        plan = plan_now()
        living = others.submit(responses_and_cpu, target, plan)
        attacking = attacker.submit(attack_in_slices, attack, target, plan)
        uses = []
        for begin_s, end_s in plan.attacked:
            await asyncio.sleep(begin_s - time.monotonic())
            before = CpuClock.read(stack)
            await asyncio.sleep(end_s - time.monotonic())
            uses.append(CpuUse(before, CpuClock.read(stack)))
        responses, others_s = await asyncio.wrap_future(living)
        return plan, responses, uses, others_s, await asyncio.wrap_future(attacking)


def percentile(responses: Sequence[Response], share: float) -> float:
    """Return milliseconds."""
    took_s = sorted(response.took_s for response in responses)
    return 1_000 * took_s[int(share * (len(took_s) - 1))]


def report(
    attack: str, plan: Plan, responses: Sequence[Response], shares: str, console: Console
) -> list[str]:
    """Print both sides; returns what failed."""
    pages = [response for response in responses if response.is_page]
    quiet = [page for page in pages if not plan.is_attacked(page.due_s)]
    attacked = [page for page in pages if plan.is_attacked(page.due_s)]
    for name, side in (("quiet", quiet), ("attacked", attacked)):
        console.print(
            f"{attack} {name}: {len(side)} pages, p50 {percentile(side, 0.5):.0f} ms, "
            f"p99 {percentile(side, 0.99):.0f} ms, worst {percentile(side, 1):.0f} ms; "
            f"{sum(page.is_partial for page in side)} partial"
        )
    slowest = sorted(attacked, key=lambda page: page.took_s)[-max(1, len(attacked) // 100) :]
    console.print(f"{attack}: the slowest 1% {dict(Counter(page.request for page in slowest).most_common())}")
    ratio = percentile(attacked, 0.99) / percentile(quiet, 0.99)
    refused = Counter(f"{each.request} {each.status} {each.detail}" for each in responses if each.is_refused)
    console.print(f"{attack}: p99 {ratio:.2f} times, refused of others {dict(refused)}; {shares}")
    failures = [f"{attack}: p99 {ratio:.2f} times"] if ratio > RATIO_MAX else []
    return failures + ([f"{attack}: refused {dict(refused)}"] if refused else [])


def shares_of(uses: Sequence[CpuUse], attacked_s: float, all_s: float, others_s: float, own_s: float) -> str:
    """Return the shares of a core during the attack."""
    cores = {name: sum(use.cores(name) for use in uses) / len(uses) for name in uses[0].after.processes}
    cores |= {"other users": others_s / all_s, "attacker": own_s / attacked_s}
    machine = sum(use.machine for use in uses) / len(uses)
    busy = sorted((name for name in cores if cores[name] >= 0.01), key=cores.__getitem__, reverse=True)
    return f"machine {machine:.0%}, of a core: " + ", ".join(f"{name} {cores[name]:.0%}" for name in busy)


async def attack_all(
    stack: Stack, attacks: Sequence[str], seconds: float, slice_s: float, console: Console
) -> list[str]:
    deployment = Deployment(stack, "", ENVIRONMENT)
    deployment.prepare()
    deployment.start_all()
    with console.status("making the network"):
        photo: PhotoId = await make_network(deployment)
    failures: list[str] = []
    for number, attack in enumerate(attacks):
        target = target_of(deployment)
        if not number:
            await live(target, Plan(time.monotonic(), WARM_UP_S / 2, 1, photo))
        plan, responses, uses, others_s, own_s = await measure(
            stack, target, attack, partial(Plan.starting_now, seconds, slice_s, photo)
        )
        attacked_s = plan.rounds * plan.slice_s
        shares = shares_of(uses, attacked_s, plan.end_s - plan.begin_s, others_s, own_s)
        failures += report(attack, plan, responses, shares, console)
    deployment.stop()
    return failures


def main() -> None:
    arguments = bench_arguments(__doc__, seconds=60.0, slice=10.0, attack=",".join(ATTACKS))
    with bench_stack() as stack:
        failures = asyncio.run(
            attack_all(
                stack,
                arguments.attack.split(","),
                arguments.seconds,
                arguments.slice,
                Console(soft_wrap=True),
            )
        )
    if failures:
        sys.exit("; ".join(failures))


if __name__ == "__main__":
    main()
