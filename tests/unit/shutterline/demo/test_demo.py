"""For one seed the demo's network and actions are always the same, and every action is possible."""

from hypothesis import given
from hypothesis import strategies as st

from shutterline.demo.metrics import Sample, quantile
from shutterline.demo.picture import ORIGINAL, SIDES, key_of
from shutterline.demo.world import CELEBRITY, CELEBRITY_FOLLOWERS, Action, Deed, World

USERS, ACTIONS = 300, 2_000


def _played(seed: int) -> tuple[list[tuple[int, int]], list[Action]]:
    world = World(USERS, seed)
    return world.network(), list(world.actions(ACTIONS))


def test_a_seed_is_a_network_and_a_play() -> None:
    """The same seed gives the same result twice. Another seed gives another result."""
    assert _played(1) == _played(1)
    assert _played(1) != _played(2)


def test_the_network_has_a_tail_and_a_celebrity() -> None:
    """There are no duplicate edges and no self-follows. Most users have few followers, and some
    have many."""
    edges, _ = _played(1)

    followers: dict[int, int] = {}
    for _, followee in edges:
        followers[followee] = followers.get(followee, 0) + 1
    celebrity = followers.pop(CELEBRITY)
    counts = sorted(followers.values())
    assert len(set(edges)) == len(edges)
    assert all(follower != followee for follower, followee in edges)
    assert celebrity == CELEBRITY_FOLLOWERS > 10_000
    assert counts[-1] > 10 * counts[len(counts) // 2]


@given(st.integers(0, 2**32))
def test_the_play_does_what_can_be_done(seed: int) -> None:
    """Only existing photos are deleted, once and by their authors. Only existing follows are
    removed."""
    world = World(50, seed)
    following = set(world.network())
    authors: list[int] = []
    deleted: set[int] = set()

    for action in world.actions(300):
        edge = (action.user, action.target)
        match action.deed:
            case Deed.POST:
                assert action.target == len(authors)
                authors.append(action.user)
            case Deed.DELETE:
                assert authors[action.target] == action.user
                assert action.target not in deleted
                deleted.add(action.target)
            case Deed.LIKE | Deed.UNLIKE:
                assert action.target < len(authors)
            case Deed.FOLLOW:
                assert edge not in following
                following.add(edge)
            case Deed.UNFOLLOW:
                assert edge in following
                following.remove(edge)
    assert authors.count(CELEBRITY) >= 1


def test_a_quantile_is_linear_within_its_bucket() -> None:
    """This is the rule of Prometheus's `histogram_quantile`."""
    buckets = {0.1: 0.0, 0.2: 50.0, 1.0: 100.0, float("inf"): 100.0}

    assert (quantile(0.25, buckets), quantile(0.5, buckets)) == (0.15000000000000002, 0.2)
    assert quantile(0.99, buckets) == 0.2 + 0.8 * 49 / 50


def test_a_quantile_above_the_last_bound_is_that_bound() -> None:
    """The histogram does not say how far above it is. Without observations there is no quantile."""
    assert quantile(0.9, {1.0: 5.0, float("inf"): 10.0}) == 1.0
    assert quantile(0.5, {1.0: 0.0, float("inf"): 0.0}) is None
    assert quantile(0.5, {}) is None


def test_a_sample_since_another_has_what_came_between() -> None:
    """If a lane is missing in the earlier sample, its count begins at 0."""
    before = Sample({"normal": 5.0}, {"normal": {1.0: 2.0}})
    after = Sample({"normal": 7.0, "bulk": 3.0}, {"normal": {1.0: 4.0}, "bulk": {1.0: 1.0}})

    between = after.since(before)

    assert between == Sample({"normal": 2.0, "bulk": 3.0}, {"normal": {1.0: 2.0}, "bulk": {1.0: 1.0}})


def test_the_demos_original_is_none_of_its_renditions() -> None:
    """If a rendition had the key of the original, the event would be a dead letter, and the demo
    would show no photos."""
    assert key_of(ORIGINAL) not in {key_of(name) for name in SIDES}
