"""The roles of worker processes. Each role has a consumer group, and may have its own process.

check    agents on uploads, follows and likes
edges    the batch loop on edges
normal   the normal lane of fanout
bulk     the bulk lane of fanout

thumbnail, full    the lanes of renditions. They run in processes without the other roles, because
                   decoding takes all the CPU time that it can get.
"""

from enum import StrEnum

from topics.catalogue import FANOUT, RENDITIONS, Lane


class Role(StrEnum):
    CHECK = "check"
    EDGES = "edges"
    NORMAL = "normal"
    BULK = "bulk"
    THUMBNAIL = "thumbnail"
    FULL = "full"


LANES = {Role.NORMAL: Lane.NORMAL, Role.BULK: Lane.BULK}
RENDITION_LANES = {Role.THUMBNAIL: Lane.THUMBNAIL, Role.FULL: Lane.FULL}
MEDIA_ROLES = tuple(RENDITION_LANES)
EVENT_ROLES = tuple(role for role in Role if role not in RENDITION_LANES)


def group_of(namespace: str, role: Role) -> str:
    """Return the name of the role's consumer group."""
    name = role.value
    if role in LANES:
        name = f"{FANOUT.name}-{role}"
    elif role in RENDITION_LANES:
        name = f"{RENDITIONS.name}-{role}"
    return f"{namespace}{name}"


def lanes_of_groups(namespace: str) -> dict[str, Lane]:
    """Return the lane of each consumer group that owns one."""
    return {group_of(namespace, role): lane for role, lane in {**LANES, **RENDITION_LANES}.items()}
