"""The numbers by which the topic `edges` names the counted sets; they never change."""

from streams.core.sets import SetKind

KIND_NUMBERS = {SetKind.FOLLOWERS: 0, SetKind.LIKERS: 1, SetKind.READY_PHOTOS: 2}


KINDS = {number: kind for kind, number in KIND_NUMBERS.items()}


# In the set of an author's ready photos a photo joins at 1 and leaves at 2, for good:
# deleted, or rejected after all.
READY_TIME_US, LEFT_TIME_US = 1, 2
