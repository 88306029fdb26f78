"""The register of every look at evidence: why, what, who, from which unit (Reg. 2025 Art. 16(3); domain row 10).

A look is a link of five minutes for the person who asked, in that person's own session; the register row is written before the link
exists. A copy that leaves (export) is the masked one (row 11); the original leaves only into the hands of the police, and the row says whose.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.evidence.clips import Clip
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.store.schema.evidence import evidence_view

LINK_LIFE: Final = timedelta(minutes=5)


class Purpose(StrEnum):
    """What the look is for."""

    VIEW = "view"
    """On the screen, by somebody of the desk."""
    EXPORT = "export"
    """A copy that leaves: masked."""
    POLICE = "police"
    """The original, handed to the police."""


class Link(Struct, frozen=True, kw_only=True):
    """What the person gets."""

    token: str
    expires_at: datetime


class Opened(Struct, frozen=True, kw_only=True):
    """The file behind a link."""

    gateway_no: int
    sha256: str
    purpose: Purpose


async def enter(
    db: AsyncConnection,
    clip: Clip,
    actor: Actor,
    *,
    purpose: Purpose,
    reason: str,
    handed_to: str,
    now: datetime,
) -> Link:
    """Register a look and return its link."""
    token = secrets.token_urlsafe(32)
    expires_at = now + LINK_LIFE
    await db.execute(
        insert(evidence_view).values(
            gateway_no=clip.gateway_no,
            sha256=clip.sha256,
            node_id=clip.node_id,
            alarm_id=clip.alarm_id,
            purpose=purpose.value,
            reason=reason,
            viewer=actor.name,
            role=actor.role,
            unit=actor.unit,
            station=actor.station,
            handed_to=handed_to,
            at=now,
            expires_at=expires_at,
            token_hash=_hashed(token),
        )
    )
    return Link(token=token, expires_at=expires_at)


async def open_link(db: AsyncConnection, token: str, actor: Actor, *, now: datetime) -> Opened | None:
    """Return what is behind a link; None: not a link of this person, or over. The first opening is noted."""
    row = (
        await db.execute(
            select(evidence_view).where(
                evidence_view.c.token_hash == _hashed(token),
                evidence_view.c.viewer == actor.name,
                evidence_view.c.expires_at > now,
            )
        )
    ).one_or_none()
    if row is None:
        return None
    await db.execute(
        update(evidence_view)
        .where(evidence_view.c.id == row.id, evidence_view.c.first_opened_at.is_(None))
        .values(first_opened_at=now)
    )
    return Opened(gateway_no=row.gateway_no, sha256=row.sha256, purpose=Purpose(row.purpose))


def _hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()
