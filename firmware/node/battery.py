"""How much is left in the button's CR2477, from its voltage under load. Pure."""

FULL_MV = 2900
EMPTY_MV = 2200
"""Under the load of a radio burst; at 2.2 V the chip's brown-out is near."""


def percent(millivolts, full_mv=FULL_MV, empty_mv=EMPTY_MV):
    """Return 0 to 100. A lithium cell holds its voltage long and then falls: this is an estimate, low means soon."""
    if full_mv <= empty_mv:
        return 0
    return max(0, min(100, (millivolts - empty_mv) * 100 // (full_mv - empty_mv)))
