"""The tree of places, the gateways and devices in it, whether they live, and how much of a district is covered."""
