"""The one base of everything the fleet server refuses on purpose."""

from __future__ import annotations


class FleetError(Exception):
    """Something a person or a peer can put right; the text says how."""
