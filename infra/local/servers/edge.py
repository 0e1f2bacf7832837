"""A CDN edge: browsers fetch photos from it with signed URLs."""

from collections.abc import Mapping

from infra.local.cors import allowed_origins
from infra.local.credentials import load_or_make
from infra.local.servers.cache import CacheServer


class EdgeServer(CacheServer):
    """There can be several CDN edges with names of their own, all in front of the one shield.

    URLs are signed for the address of the first, `edge`, and are valid at each of them.
    """

    kind = "edge"

    def facts(self) -> Mapping[str, object]:
        credentials = load_or_make(self.home.secrets)
        return {
            **super().facts(),
            "edge_secret": credentials.edge_secret,
            "media_url": media_url(self.ports),
            "cors_origins": allowed_origins(),
            "keys": {key.key_id: key.public_key for key in credentials.media_keys},
        }

    def values(self) -> Mapping[str, object]:
        return {
            **super().values(),
            "shield": self.ports["shield"],
            "edge_secret": load_or_make(self.home.secrets).edge_secret,
        }


def media_url(ports: Mapping[str, int]) -> str:
    """What photo URLs begin with."""
    return f"http://127.0.0.1:{ports['edge']}"
