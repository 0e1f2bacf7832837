"""How much two clocks differ for certain, when one of them is read over a network."""


def difference_us(before_us: int, store_us: int, after_us: int) -> int:
    """Return by how much our clock is ahead of a store's at least; negative if it is behind, else 0.

    The store read its clock at a moment between `before_us` and `after_us` of ours. So a slow reply
    makes the result smaller, and never shows a difference that is not there.
    """
    if store_us < before_us:
        return before_us - store_us
    if store_us > after_us:
        return after_us - store_us
    return 0
