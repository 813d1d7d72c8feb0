"""What the ledger's template needs: the look of a delivery's state."""

from django import template

from observability.models import DeliveryState

register = template.Library()

LOOKS = {
    DeliveryState.PENDING: ("idle", "queued"),
    DeliveryState.ACTIVE: ("busy", "running"),
    DeliveryState.CAUGHT_UP: ("good", "completed"),
    DeliveryState.WAITING: ("warn", "warning"),
    DeliveryState.PAUSED: ("bad", "failed"),
    DeliveryState.FINISHED: ("good", "completed"),
}


@register.inclusion_tag("observability/_pill.html")
def delivery_pill(state: str) -> dict[str, str]:
    """A delivery's state by colour, picture and word."""
    known = DeliveryState(state)
    tone, picture = LOOKS[known]
    return {"tone": tone, "picture": picture, "label": str(known.label)}
