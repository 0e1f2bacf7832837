"""The audit of the worker that owns the first partition of `edges`."""

from streams.jobs.audit.audit import Auditor, make_auditor
from streams.jobs.audit.job import AuditJob
from streams.jobs.audit.repairs import Repairs
from streams.kafka.consuming.progress import GroupPartition
from streams.kafka.offsets.applied import Applied, stages_of
from streams.timelines.rebuild import database_rebuilder
from streams.worker.parts import Loop, SharedParts
from topics.catalogue import EDGES, OUTSIDE


def audit_loop(shared: SharedParts, group: str) -> Loop:
    """Return what audits; `group` is the one that reads `edges`."""
    settings, stores = shared.settings, shared.stores
    first = GroupPartition(group, EDGES.named(settings.namespace), 0)
    stages = stages_of(settings.namespace, shared.sizes, OUTSIDE)
    applied = Applied(shared.offsets, stores.timelines, stages, settings.audit_wait_s_max)
    rebuilder = database_rebuilder(stores, stores.outgoing_edges, settings)
    repairs = Repairs(stores, shared.outbox, shared.outbox, rebuilder)

    def auditor_of(seed: int) -> Auditor:
        return make_auditor(stores, settings, applied.wait, repairs, seed)

    job = AuditJob(settings, stores.user_scan, auditor_of, lambda: first in shared.progress.owned())

    async def run() -> None:
        try:
            await job.run()
        finally:
            await rebuilder.close()

    return run
