"""Values that were used last, as many as fit."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps what was put or got last; forgets the others while the weights add up to more than `weight_max`.

    A value is weighed when it is put, and must not change its weight while it is here.
    """

    def __init__(self, weight_max: int, weight_of: Callable[[V], int] = lambda _: 1) -> None:
        self._weight_max = weight_max
        self._weight_of = weight_of
        self._values: OrderedDict[K, V] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self.forget(key)
        self._values[key] = value
        self._weight += self._weight_of(value)
        while self._weight > self._weight_max:
            _, dropped = self._values.popitem(last=False)
            self._weight -= self._weight_of(dropped)

    def forget(self, key: K) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._weight -= self._weight_of(value)

    def clear(self) -> None:
        self._values.clear()
        self._weight = 0
