"""How a photo of a test is delivered."""

from streams.core.delivery import Delivery, DeliveryReason, Mode
from topics.catalogue import Lane

PUSHED = Delivery(
    mode=Mode.PUSH, lane=Lane.NORMAL, reason=DeliveryReason.FEW_FOLLOWERS, mode_by_size=Mode.PUSH
)
