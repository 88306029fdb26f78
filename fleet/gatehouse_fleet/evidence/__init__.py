"""Clips: they stay on the gateway and come up by policy or on demand, are looked at with a reason only, and go after 30 days."""
