"""The role `edges`: the batch loop that counts follows, likes and ready photos, and the audit."""

from streams.kafka.stages.edges_loop import EdgesLoop
from streams.roles import Role, group_of
from streams.worker.audit import audit_loop
from streams.worker.parts import SharedParts, Wired


def wire_edges(shared: SharedParts) -> Wired:
    """Consume `edges` without Faust; the owner of its first partition audits."""
    group = group_of(shared.settings.namespace, Role.EDGES)
    loop = EdgesLoop(
        consuming=shared.settings,
        settings=shared.settings,
        retry=shared.settings,
        counted_sets=shared.stores.counted_sets,
        cache=shared.stores.cache,
        outbox=shared.outbox,
        group=group,
        progress=shared.progress,
    )
    return Wired(loops=[loop.run, audit_loop(shared, group)], is_ready=loop.ready.is_set)
