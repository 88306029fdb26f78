"""What else happens with each revision of an alarm, behind the projection: cases, evidence.

A reader of its own, so an alarm is on its screen before its case is made, and the slowest step keeps no alarm waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import EntryKind
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic, publish
from gatehouse_fleet.projection.owed import name_of
from gatehouse_fleet.projection.readers import Portion
from gatehouse_fleet.projection.reading import derived_id
from gatehouse_fleet.projection.revision import Told, context_of, told_by
from gatehouse_fleet.projection.step import RegisterStep, Step
from gatehouse_fleet.store.schema.alarms import alarm_revision, step_owed

READER: Final = "steps"
_log = logging.getLogger(__name__)


class Steps:
    """The work of the reader `steps`."""

    def __init__(self, clock: Clock, steps: Sequence[Step]) -> None:
        self._clock: Final = clock
        self._steps: Final = tuple(steps)

    async def __call__(self, db: AsyncConnection, read: Sequence[Portion], *, is_careful: bool) -> None:
        """Give each step what the entries say; see `follower.Work`."""
        await self._take_register(db, read, is_careful=is_careful)
        told = [one for portion in read for one in told_by(portion)]
        if not told:
            return
        await _name(db, told)
        lines: list[FeedItem] = []
        for step in self._steps:
            if is_careful:
                for one in told:
                    lines += await self._guarded(db, step, one)
            else:
                lines += await step.on_alarms(db, [context_of(one) for one in told])
        await publish(db, lines, at=self._clock.now())

    async def _take_register(self, db: AsyncConnection, read: Sequence[Portion], *, is_careful: bool) -> None:
        """Give entries of gateways' evidence registers to the steps that read them."""
        readers = [step for step in self._steps if isinstance(step, RegisterStep)]
        for portion in read:
            for stored in portion.entries:
                if stored.entry.kind != EntryKind.EVIDENCE:
                    continue
                for step in readers:
                    if not is_careful:
                        await step.on_register(db, portion.source, stored)
                        continue
                    try:
                        async with db.begin_nested():
                            await step.on_register(db, portion.source, stored)
                    except Exception:  # noqa: BLE001  # whatever it is: alarms must not wait for it
                        _log.exception("entry %d of %s is stepped over", stored.entry.seq, portion.source.id)

    async def _guarded(self, db: AsyncConnection, step: Step, one: Told) -> Sequence[FeedItem]:
        """Run a step that has failed before; if it fails again it stays owed, and the others go on."""
        context = context_of(one)
        try:
            async with db.begin_nested():
                return await step.on_alarms(db, (context,))
        except Exception:  # noqa: BLE001  # whatever it is: the next alarm's steps must not wait for it
            name, alarm_id = name_of(step), context.change.alarm.alarm_id
            _log.exception("step %s is owed to alarm %s", name, alarm_id)
            await db.execute(
                insert(step_owed).values(
                    gateway_no=one.source.no,
                    epoch_number=one.read.mark.number,
                    entry_seq=one.read.mark.seq,
                    step=name,
                    alarm_id=alarm_id,
                    tries=0,
                    due_at=self._clock.now(),
                )
            )
            body = msgspec.json.encode({"step_failed": name, "alarm_id": alarm_id}).decode()
            return [
                FeedItem(
                    topic=FeedTopic.GATEWAY,
                    subject=context.gateway_id,
                    node_path=context.node_path,
                    body=body,
                )
            ]


async def _name(db: AsyncConnection, told: Sequence[Told]) -> None:
    """Call every alarm by the name it is shown under."""
    own = {one.change.alarm.alarm_id for one in told}
    derived = {derived_id(one.source.id, one.change.alarm.alarm_id) for one in told}
    query = select(alarm_revision).where(
        alarm_revision.c.alarm_id.in_(sorted(own | derived)),
        alarm_revision.c.gateway_no.in_(sorted({one.source.no for one in told})),
        alarm_revision.c.entry_seq.in_(sorted({one.read.mark.seq for one in told})),
    )
    shown = {
        (row.gateway_no, row.epoch_number, row.entry_seq): row.alarm_id
        for row in (await db.execute(query)).all()
    }
    for one in told:
        mark = one.read.mark
        one.rename(shown.get((one.source.no, mark.number, mark.seq), one.change.alarm.alarm_id))
