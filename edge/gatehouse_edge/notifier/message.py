"""What is said to people who are not at the desk: short, Chinese and English, without residents' names."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

from msgspec import Struct

from gatehouse_edge.alarms.plan import Place
from gatehouse_edge.notifier.contact import Contact, Directory
from gatehouse_events.escalation import Escalation
from gatehouse_events.states import Priority

_CHINA: Final = timezone(timedelta(hours=8))
"""The whole country keeps one time, without summer time."""
_URGENCY_ZH: Final = {Priority.P1: "紧急", Priority.P2: "重要", Priority.P3: "一般", Priority.P4: "故障"}
_URGENCY_EN: Final = {
    Priority.P1: "URGENT",
    Priority.P2: "Important",
    Priority.P3: "Notice",
    Priority.P4: "Fault",
}
_SUFFIXES_ZH: Final = (("building", "栋"), ("unit", "单元"), ("floor", "层"), ("room", "室"), ("name", ""))
_MAX_DETAIL: Final = 24
"""A text message holds 70 characters; the detail is the first thing to give way."""


class Notification(Struct, frozen=True, kw_only=True):
    """One message to one contact."""

    key: str
    """Same for every try, also after a restart: receivers drop doubles by it."""
    contact: Contact
    alarm_id: str
    alarm_seq: int
    device_id: str
    code: str
    priority: Priority
    step: int
    is_test: bool
    at: datetime
    """When the step was taken; aware."""
    place: str
    text_zh: str
    """One line, at most 120 characters."""
    text_en: str


def place_text(place: Place) -> str:
    """Return a place as people of the estate say it: `3栋2单元5层501室`; words of their own stay as they are."""
    parts = []
    for field, suffix in _SUFFIXES_ZH:
        word: str = getattr(place, field)
        if word:
            parts.append(word + suffix if word.lstrip("-").isalnum() and word.isascii() else word)
    return "".join(parts)


def compose(
    escalation: Escalation, contact: Contact, *, at: datetime, estate: str, place: str, directory: Directory
) -> Notification:
    """Return what one contact is told about one step of the ladder."""
    detail = directory.redact(escalation.text)[:_MAX_DETAIL]
    where = directory.redact(place)
    clock = at.astimezone(_CHINA).strftime("%H:%M")
    zh = f"【{estate}】{_URGENCY_ZH[escalation.priority]} {escalation.label.zh} {where} {detail} {clock} 请立即处理并在控制台确认"
    en = (
        f"[{estate}] {_URGENCY_EN[escalation.priority]}: {escalation.label.en}, {where} {detail}, {clock}."
        " Act now and acknowledge at the console."
    )
    if escalation.is_test:
        zh, en = f"【测试】{zh}", f"[TEST] {en}"
    return Notification(
        key=f"{escalation.alarm_id}-{escalation.alarm_seq}-{contact.id}",
        contact=contact,
        alarm_id=escalation.alarm_id,
        alarm_seq=escalation.alarm_seq,
        device_id=escalation.device_id,
        code=escalation.code,
        priority=escalation.priority,
        step=escalation.step,
        is_test=escalation.is_test,
        at=at,
        place=where,
        text_zh=_one_line(zh),
        text_en=_one_line(en),
    )


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
