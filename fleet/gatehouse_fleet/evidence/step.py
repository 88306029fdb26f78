"""Each alarm's evidence is put on the list once the alarm is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.evidence import EvidenceError, Held, Lifted, decode_register
from gatehouse_events.states import Kind
from gatehouse_fleet.evidence import clips
from gatehouse_fleet.evidence.policy import comes_up, keep_until, named_in
from gatehouse_fleet.projection.feed import FeedItem
from gatehouse_fleet.projection.readers import Source, StoredEntry
from gatehouse_fleet.projection.step import AlarmContext
from gatehouse_fleet.settings import FleetSettings


class EvidenceStep:
    """A step of the projection; also reads what gateways say of holds."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings: Final = settings

    async def on_register(self, db: AsyncConnection, source: Source, stored: StoredEntry) -> None:
        """Hold here what is held at the gateway, by name of who did it there; see `projection.step.RegisterStep`.

        A gateway that is not believed may keep files longer, never shorter.
        """
        try:
            entry = None if stored.entry.body is None else decode_register(stored.entry.body)
        except EvidenceError:
            return
        if isinstance(entry, Held):
            await clips.hold_from_gateway(
                db,
                source.no,
                entry.files,
                hold=entry.manifest_sha256,
                reason=f"{entry.actor.name}: {entry.reason}",
                now=stored.committed_at,
            )
        elif isinstance(entry, Lifted) and stored.doubt is None:
            await clips.release_from_gateway(
                db,
                source.no,
                hold=entry.manifest_sha256,
                reason=f"{entry.actor.name}: {entry.reason}",
                now=stored.committed_at,
            )

    async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
        """See `projection.step.Step`."""
        for context in told:
            await self._list(db, context)
        return ()

    async def _list(self, db: AsyncConnection, context: AlarmContext) -> None:
        alarm = context.change.alarm
        is_wanted = comes_up(
            self._settings.evidence,
            category=alarm.code.partition(".")[0],
            is_test=alarm.kind is Kind.TEST,
        )
        for named in named_in(alarm.evidence):
            await clips.name(
                db,
                named,
                gateway_no=context.gateway_no,
                node_id=context.node_id,
                alarm_id=alarm.alarm_id,
                keep_until=keep_until(
                    named.captured_at, context.committed_at, days=self._settings.retention.clip_days
                ),
                is_wanted=is_wanted,
                now=context.committed_at,
            )
