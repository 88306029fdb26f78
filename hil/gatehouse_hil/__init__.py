"""The bench: simulated wires and devices that speak the real protocols, scenarios, and `gatehouse-bench`.

Never imports the gateway: they meet on the wire, as they do in a building.
"""
