"""Brings alarms to people who are not at the desk: webhook, mail, text message.

A reader of the journal like any other: due steps of the ladder are `escalation` entries, committed with the alarm.
"""

from gatehouse_edge.notifier.channel import Channel, Delivery, Patience
from gatehouse_edge.notifier.contact import Contact, Directory, Via
from gatehouse_edge.notifier.errors import NotifierError, RefusedError, TryAgainError
from gatehouse_edge.notifier.message import Notification, compose, place_text
from gatehouse_edge.notifier.notifier import Notifier
from gatehouse_edge.notifier.setup import channels

__all__ = [
    "Channel",
    "Contact",
    "Delivery",
    "Directory",
    "Notification",
    "Notifier",
    "NotifierError",
    "Patience",
    "RefusedError",
    "TryAgainError",
    "Via",
    "channels",
    "compose",
    "place_text",
]
