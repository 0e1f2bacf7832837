"""The ports that a check reads."""

from typing import Protocol

from streams.ports.edges import CountedSets, OutgoingEdges
from streams.ports.photos import AuthorPhotos, Photos


class CheckedStores(Protocol):
    """The rows in Cassandra that are recounted; any group of stores that has them will do."""

    @property
    def photos(self) -> Photos: ...

    @property
    def author_photos(self) -> AuthorPhotos: ...

    @property
    def outgoing_edges(self) -> OutgoingEdges: ...

    @property
    def counted_sets(self) -> CountedSets: ...
