"""What the fleet tells its gateways: one lane each, read by cursor, answered in the gateway's journal."""

from gatehouse_fleet.orders.lane import IssuedOrder, issue, orders_topic
from gatehouse_fleet.orders.outcomes import take_outcome

__all__ = ["IssuedOrder", "issue", "orders_topic", "take_outcome"]
