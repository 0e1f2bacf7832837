"""The cache that the writer of counted sets remembers them in."""

from streams.core.recent import Recent


def test_what_was_used_longest_ago_goes_first() -> None:
    """Getting is using; a miss is not."""
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.get("a")
    recent.get("missing")
    recent.put("c", 3)

    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def test_weights_bound_what_is_kept() -> None:
    """One heavy value pushes out several light ones; one that alone is too heavy is not kept."""
    recent: Recent[str, str] = Recent(5, len)
    recent.put("a", "xx")
    recent.put("b", "xx")
    recent.put("c", "xxxx")
    kept = [recent.get(key) for key in "abc"]
    recent.put("d", "xxxxxx")

    assert kept == [None, None, "xxxx"]
    assert [recent.get(key) for key in "cd"] == [None, None]


def test_a_value_put_again_or_forgotten_frees_its_weight() -> None:
    """Otherwise a key that is written often would push out all others."""
    recent: Recent[str, str] = Recent(5, len)
    recent.put("a", "xx")
    for _ in range(10):
        recent.put("b", "xx")
    recent.put("c", "x")
    recent.forget("c")
    recent.forget("never there")

    assert [recent.get(key) for key in "abc"] == ["xx", "xx", None]

    recent.clear()
    recent.put("d", "xxxxx")

    assert [recent.get(key) for key in "abd"] == [None, None, "xxxxx"]
