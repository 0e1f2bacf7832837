"""What the workers measured between two moments, from their /metrics pages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from infra.local.servers.probes import http_body

ANSWER_S = 5.0
DELIVERIES = "shutterline_deliveries_total"
FRESHNESS = "shutterline_delivery_freshness_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Sample:
    """Sums over all workers: deliveries by lane, and by lane the freshness histogram's cumulative buckets."""

    deliveries: Mapping[str, float]
    freshness: Mapping[str, Mapping[float, float]]

    def since(self, earlier: "Sample") -> "Sample":
        """What came between the two samples."""
        return Sample(
            {lane: count - earlier.deliveries.get(lane, 0) for lane, count in self.deliveries.items()},
            {
                lane: {
                    le: count - earlier.freshness.get(lane, {}).get(le, 0) for le, count in buckets.items()
                }
                for lane, buckets in self.freshness.items()
            },
        )


def sample(run_folder: Path) -> Sample:
    """Read every worker's page. A worker that does not answer is left out.

    Blocking, at most `ANSWER_S` for each worker.
    """
    deliveries: dict[str, float] = defaultdict(float)
    freshness: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for page in _pages(run_folder.glob("worker-*.metrics")):
        for family in text_string_to_metric_families(page):
            for line in family.samples:
                lane = line.labels.get("lane", "")
                if line.name == DELIVERIES:
                    deliveries[lane] += line.value
                elif line.name == FRESHNESS:
                    freshness[lane][float(line.labels["le"])] += line.value
    return Sample(deliveries, freshness)


def _pages(files: Iterable[Path]) -> Iterable[str]:
    for file in files:
        page = http_body(file.read_text().strip(), "/metrics", deadline_s=ANSWER_S)
        if page is not None:
            yield page


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """The value below which `share` of a histogram lies, linear within its bucket, as Prometheus does it.

    Returns None if the histogram is empty, and the last finite bound if the value is above it.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank, low, below = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        inside = buckets[bound] - below
        if buckets[bound] >= rank and inside > 0:
            return low if bound == float("inf") else low + (bound - low) * (rank - below) / inside
        low, below = bound, buckets[bound]
    return low
