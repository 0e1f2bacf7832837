"""The metrics of a process as a scraper asks for them."""

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.exposition import choose_encoder

OPENMETRICS = "application/openmetrics-text"


def exposition(accept: str) -> tuple[bytes, str]:
    """Return all metrics and their content type, by the header `Accept`.

    They are in Prometheus's text format unless the header has OpenMetrics, as that of Prometheus does. Only
    OpenMetrics has exemplars.
    """
    if OPENMETRICS not in accept:
        return generate_latest(), CONTENT_TYPE_LATEST
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type
