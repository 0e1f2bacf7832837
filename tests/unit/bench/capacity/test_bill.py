"""Counts, limits, ceilings and effects of loads whose bill can be worked out by hand."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity.bill import Bill, Component, bill_of
from bench.capacity.ceilings import ceilings, fitting_profile, lane_needs, to_grow
from bench.capacity.coefficients import COMMITTED, CapacityError, Coefficients, Part, Work
from bench.capacity.demand import cpu_s, worker_cores
from bench.capacity.load import ABOUT, TARGET, Assumptions, Load, load_of
from bench.capacity.sensitivity import effects
from streams.roles import Role
from topics.sizes import Profile

ASSUMED = Assumptions()


def with_ms(**values: float) -> Coefficients:
    """The committed coefficients with other milliseconds: `like_worker=0.4`."""
    changed = {}
    for name, value in values.items():
        work, part = name.split("_")
        changed[Work[work.upper()], Part[part.upper()]] = replace(
            COMMITTED.cpu_ms[Work.LIKE, Part.WORKER], value=value
        )
    return replace(COMMITTED, cpu_ms={**COMMITTED.cpu_ms, **changed})


def component(bill: Bill, name: str) -> Component:
    return next(each for each in bill.components if each.name == name)


def bill(load: Load = TARGET, assumed: Assumptions = ASSUMED, coefficients: Coefficients = COMMITTED) -> Bill:
    return bill_of(load, assumed, coefficients)


def test_api_processes_are_the_cpu_of_their_pages() -> None:
    """5,900 pages a second, all warm, of 1 ms are 5.9 cores, and 10 processes at 60 %."""
    load = replace(TARGET, reads=5_900)
    assumed = ASSUMED.with_values({"cold_pages": 1e-12})

    api = component(bill(load, assumed, with_ms(page_api=1.0)), "API processes")

    assert (10, "CPU") == (api.count, api.binds)


def test_a_cold_page_costs_a_rebuild_instead_of_a_page() -> None:
    """Of 1,000 pages a tenth is cold: 900 of 1 ms and 100 of 21 ms are 3 cores, 5 processes."""
    load = replace(TARGET, reads=1_000)
    assumed = ASSUMED.with_values({"cold_pages": 0.1})

    api = component(bill(load, assumed, with_ms(page_api=1.0, rebuild_api=21.0)), "API processes")

    assert 5 == pytest.approx(api.by_need[0].need)


def test_large_pages_make_the_network_the_limit_of_api_processes() -> None:
    """A process has a 16th of 10 Gbit/s. 3,000 pages of 40 kB are 0.96 Gbit/s, at 60 % 2.56 processes."""
    load = replace(TARGET, reads=3_000)

    api = component(bill(load, coefficients=with_ms(page_api=1e-6, rebuild_api=1e-6)), "API processes")

    assert (3, "network") == (api.count, api.binds)
    assert 2.56 == pytest.approx(api.by_need[0].need)


def test_redis_holds_the_timelines_and_what_is_cached_of_readers() -> None:
    """A million readers without follows, likes and photos: 4,880 bytes each and two values of 56."""
    load = Load(users=1e6, uploads=1e-9, likes=1e-9, follows=1e-9, reads=1e-9, edges=1e-9)
    assumed = ASSUMED.with_values({"redis_memory_gb": 1, "fill": 0.5})

    redis = component(bill(load, assumed), "Redis primaries")

    assert (10, "memory") == (redis.count, redis.binds)
    assert 4.992 / 0.5 == pytest.approx(redis.by_need[0].need)


def test_cassandra_stores_every_edge_twice_in_three_replicas() -> None:
    """A billion edges of 60 and 62 bytes are 366 GB on three nodes' disks; 100 GB of each may be full."""
    load = Load(users=1, uploads=1e-9, likes=1e-9, follows=1e-9, reads=1e-9, edges=1e9)
    assumed = ASSUMED.with_values({"cassandra_disk_tb": 0.2, "fill": 0.5})

    cassandra = component(bill(load, assumed), "Cassandra nodes")

    assert (4, "disk") == (cassandra.count, cassandra.binds)
    assert 3.66 == pytest.approx(cassandra.by_need[0].need)


def test_brokers_keep_a_week_of_likes_three_times() -> None:
    """1,000 likes a second at the peak, half of that on average: 248 and 27 bytes for 604,800 s."""
    load = Load(users=1, uploads=1e-9, likes=1_000, follows=1e-9, reads=1e-9, edges=1)

    assert 275 * 500 * 604_800 * 3 / 1e12 == pytest.approx(bill(load).storage_tb["Kafka"])


def test_no_load_needs_the_smallest_cluster() -> None:
    """Replicas and a second process of each kind are needed for any load."""
    least = bill(TARGET.of_users(1))

    assert [3, 3, 3] == [server.count for server in least.servers]
    assert {2} == {process.count for process in least.processes}
    assert {"smallest"} == {each.binds for each in least.components}


def test_replicas_are_a_lower_bound_of_servers() -> None:
    """Five replicas need five brokers."""
    assert 5 == bill(TARGET.of_users(1), ASSUMED.with_values({"kafka_replicas": 5})).servers[0].count


@given(
    name=st.sampled_from([each.name for each in fields(Load)]),
    factor=st.floats(1, 50),
    users=st.floats(1, 1e10),
)
def test_more_load_never_needs_less(name: str, factor: float, users: float) -> None:
    """If one figure of the load grows, no component, storage or network shrinks.

    More users alone are an exception where likes are cached: the same likes are of more users.
    """
    load = TARGET.of_users(users)
    more = replace(load, **{name: getattr(load, name) * factor})
    before, after = bill(load), bill(more)

    for one, other in zip(before.components, after.components, strict=True):
        assert one.count <= other.count, one.name
    if name != "users":
        for amounts, others in (
            (before.storage_tb, after.storage_tb),
            (before.network_gbit, after.network_gbit),
        ):
            assert all(amounts[key] <= others[key] * (1 + 1e-9) for key in amounts)


@given(factor=st.floats(0.1, 100))
def test_needs_are_in_proportion_to_the_load(factor: float) -> None:
    """The users at which the first limit binds do not depend on the load that they are worked out from."""
    of_target, of_other = bill(), bill(TARGET.of_users(TARGET.users * factor))

    assert of_target.binds_first[2] == pytest.approx(of_other.binds_first[2])


def test_what_binds_first_is_at_its_limit_there() -> None:
    """Just below that number of users everything is the smallest, and just above that component is not."""
    first, limit, users = bill().binds_first
    below, above = bill(TARGET.of_users(users * 0.999)), bill(TARGET.of_users(users * 1.001))

    assert {"smallest"} == {each.binds for each in below.components}
    assert {first.name: limit.name} == {
        each.name: each.binds for each in above.components if each.binds != "smallest"
    }


def test_roles_share_the_cpu_of_the_workers() -> None:
    """The roles that handle events use what follows, likes and posts cost the workers, no more, no less."""
    roles = worker_cores(TARGET, ASSUMED, COMMITTED).roles
    events = {Work.FOLLOW: TARGET.follows, Work.LIKE: TARGET.likes, Work.POST: TARGET.uploads}

    for_events = sum(cores for role, cores in roles.items() if role not in (Role.THUMBNAIL, Role.FULL))

    assert cpu_s(events, COMMITTED)[Part.WORKER] == pytest.approx(for_events)


def test_followers_beyond_those_of_the_measured_post_are_deliveries() -> None:
    """A post has 200 followers. With 1,200, a thousand deliveries of 2 µs each are 2 ms more."""
    coefficients = with_ms(post_worker=1.0, delivery_worker=0.002)
    load = Load(users=1, uploads=1_000, likes=1e-9, follows=1e-9, reads=1e-9, edges=1)

    roles = worker_cores(load, ASSUMED.with_values({"followers_a_post": 1_200}), coefficients).roles

    assert 1.0 + 2.0 == pytest.approx(roles[Role.CHECK] + roles[Role.NORMAL] + roles[Role.BULK])


def test_a_post_to_as_many_followers_as_measured_costs_what_was_measured() -> None:
    """10,000 posts of 1 ms of Cassandra in three replicas are 30 cores, 60 % of 50, of 16 a node."""
    load = Load(users=1, uploads=10_000, likes=1e-9, follows=1e-9, reads=1e-9, edges=1)
    assumed = ASSUMED.with_values({"stored_days": 1e-6})

    cassandra = component(bill(load, assumed, with_ms(post_cassandra=1.0)), "Cassandra nodes")

    assert "CPU" == cassandra.binds
    assert 50 / 16 == pytest.approx(cassandra.by_need[0].need)


def test_a_worker_of_renditions_uses_two_cores() -> None:
    """60 thumbnails of 0.1 s a second are 6 cores, 60 % of 10, two of them in each worker."""
    load = replace(TARGET, uploads=60)

    thumbnails = component(bill(load, ASSUMED.with_values({"thumbnail_cpu_s": 0.1})), "workers, thumbnail")

    assert 5 == pytest.approx(thumbnails.by_need[0].need)
    assert 2 * thumbnails.count == thumbnails.cores_in_all


def test_objects_are_stored_for_their_days() -> None:
    """10 photos a second at the peak are 5 on average, for 2 days, of 3 MB."""
    assumed = ASSUMED.with_values({"stored_days": 2, "original_bytes": 2.9e6, "renditions_bytes": 1e5})

    assert 5 * 2 * 86_400 * 3e6 / 1e12 == pytest.approx(
        bill(replace(TARGET, uploads=10), assumed).storage_tb["S3"]
    )


def test_a_faster_core_needs_fewer_processes() -> None:
    """Twice as fast is half the cores in every limit of CPU."""
    fast = bill(assumed=ASSUMED.with_values({"core_speed": 2}))

    for one, other in zip(bill().components, fast.components, strict=True):
        cpu, cpu_when_fast = (
            next(limit.need for limit in each.limits if limit.name == "CPU") for each in (one, other)
        )
        assert cpu / 2 == pytest.approx(cpu_when_fast), one.name


def test_full_renditions_of_the_target_exceed_every_profile() -> None:
    """2,315 photos of 0.2 s are 463 cores. At 60 %, two children a worker, that is 386 partitions of 192."""
    needs = {lane.name: lane for lane in lane_needs(TARGET, ASSUMED, COMMITTED)}

    assert 386 == needs["renditions full"].partitions
    assert fitting_profile(tuple(needs.values())) is None


@pytest.mark.parametrize(
    ("users", "expected"), [(1e6, Profile.LOCAL), (10e6, Profile.SMALL), (100e6, Profile.LARGE)]
)
def test_the_smallest_profile_that_is_enough_is_named(users: float, expected: Profile) -> None:
    """A tenth of the target's load is what decision 65 made the profiles for, and less."""
    assert expected == fitting_profile(lane_needs(TARGET.of_users(users), ASSUMED, COMMITTED))


def test_upstream_topics_may_grow_beyond_a_profile() -> None:
    """Likes at the target need 49 partitions, one more than the largest profile has."""
    assert {"likes": 49} == to_grow(lane_needs(TARGET, ASSUMED, COMMITTED), Profile.LARGE)


def test_rebuilds_above_the_setting_are_said_to_exceed_it() -> None:
    """A hundredth of 350,000 pages a second is 3,500 rebuilds, of the 1,000 that a system makes."""
    rebuilds, _ = ceilings(bill(), ASSUMED.with_values({"cold_pages": 0.01}))

    assert (3_500, 1_000, True) == (rebuilds.need, rebuilds.bound, rebuilds.is_exceeded)


def test_the_assumption_that_all_cores_depend_on_comes_first() -> None:
    """A load of nothing but renditions depends on their CPU, in proportion, and on nothing else as much."""
    load = Load(users=1, uploads=1e4, likes=1e-9, follows=1e-9, reads=1e-9, edges=1)
    assumed = ASSUMED.with_values({"stored_days": 1e-6, "full_cpu_s": 10, "cached_photo_days": 1e-6})

    first, second, *_ = effects(load, assumed, COMMITTED)

    assert {"full_cpu_s", "core_speed"} == {first.name, second.name}
    assert all(effect.range > 0 for effect in (first, second))


def test_shares_are_not_varied_beyond_one() -> None:
    """At twice 0.8 there is no share, so the effect is that of 1."""
    assumed = ASSUMED.with_values({"mean_load": 0.8})
    effect = next(each for each in effects(TARGET, assumed, COMMITTED) if each.name == "mean_load")

    assert bill(assumed=ASSUMED.with_values({"mean_load": 1})).cores == effect.cores_at_double


def test_choices_are_no_uncertainty() -> None:
    """What the operator decides is not among the assumptions that are varied."""
    varied = {effect.name for effect in effects(TARGET, ASSUMED, COMMITTED)}

    assert varied == {name for name, about in ABOUT.items() if not about.is_choice}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fill": 1.5}, "fill is 1.5; it must be at most 1"),
        ({"core_speed": 0.0}, "core_speed is 0; it must be a number above 0"),
        ({"core_speed": float("inf")}, "core_speed is inf; it must be a number above 0"),
        ({"core_speed": float("nan")}, "core_speed is nan; it must be a number above 0"),
        ({"kafka_replicas": 2.5}, "kafka_replicas is 2.5; it must be a whole number"),
        ({"speed": 1.0}, "no assumption is named 'speed'"),
    ],
)
def test_an_impossible_assumption_is_refused(given: dict[str, float], message: str) -> None:
    """The line names the assumption, its value and the rule."""
    with pytest.raises(CapacityError, match=message):
        ASSUMED.with_values(given)


def test_users_alone_scale_the_target() -> None:
    """A fiftieth of the users do a fiftieth of everything, except what is given."""
    load = load_of({"users": 10e6, "likes": 5.0})

    assert (10e6, 7_000, 5.0, 2e9) == (load.users, load.reads, load.likes, load.edges)
