"""Cases 案件: where each stands, its alarms, deadlines and time line; policies and holidays; who is told."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

case: Final = Table(
    "fleet_case",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True),  # its community
    Column("kind", String(16), nullable=False),  # cases.merging.CaseKind
    Column("code", String(64), nullable=False),  # of its gravest alarm; "preventive"
    Column("priority", String(2), nullable=False),
    Column("step", String(16), nullable=False),  # cases.steps.CaseStep
    Column("revision", Number, nullable=False),  # number of its latest line in the time line
    Column("is_open", Boolean, nullable=False),  # not closed and not merged away
    Column("opened_at", Moment, nullable=False),
    Column("step_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("merged_into", Number, ForeignKey("fleet_case.id")),
    Column("unit", String(128), nullable=False, server_default=""),  # dispatched to
    Column("user_id", Number, ForeignKey("fleet_user.id")),  # dispatched to this person; None: to the unit
    Column("handlers", Text, nullable=False, server_default="[]"),  # JSON: names of who has handled it
    Column("photos", Integer, nullable=False, server_default="0"),  # feedback photos of this round
    Column("rounds", Integer, nullable=False, server_default="1"),  # 1 + how often it was sent back
    Column("outcome", String(16)),  # states.Disposition of its alarms, once all are closed
    Column("is_injury", Boolean, nullable=False, server_default="0"),
    Column("score", Integer),  # 综合评价, 1 to 5
    Column("gateway_no", Number),  # preventive cases: the cause
    Column("device_id", String(64)),
    Column("cause_code", String(64)),
    Column("chain", LargeBinary(32), nullable=False),  # hash of the latest line
)
Index("ix_fleet_case_open", case.c.is_open, case.c.node_id)

case_alarm: Final = Table(
    "case_alarm",
    METADATA,
    Column("alarm_id", String(26), primary_key=True),  # one alarm, one case
    Column("case_id", Number, ForeignKey("fleet_case.id"), nullable=False, index=True),
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("code", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("priority", String(2), nullable=False),
    Column("seq", Number, nullable=False),  # latest revision taken in
    Column("incident_id", String(64)),
    Column("building", String(32), nullable=False, server_default=""),
    Column("unit", String(32), nullable=False, server_default=""),
    Column("raised_at", Moment, nullable=False),
    Column("joined_at", Moment, nullable=False),
    Column("reason", String(16), nullable=False),  # cases.merging.Reason
    Column("is_open", Boolean, nullable=False),
    Column("acked_at", Moment),
    Column("closed_at", Moment),
    Column("disposition", String(16)),
    Column("repeats", Number, nullable=False),  # as the alarm counts them
    Column("deal_status", String(2)),  # rescue chain (domain row 35), alarm.DealStatus
    Column("responded_at", Moment),
    Column("arrived_at", Moment),
    Column("ended_at", Moment),
)
Index("ix_case_alarm_cause", case_alarm.c.gateway_no, case_alarm.c.device_id, case_alarm.c.code)

occurrence: Final = Table(
    "case_occurrence",
    METADATA,
    Column("alarm_id", String(26), primary_key=True),
    Column("seq", Number, primary_key=True, autoincrement=False),  # revision that told it
    Column("gateway_no", Number, nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("code", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    Column("count", Number, nullable=False),  # new occurrences that this revision told
)
"""How often each cause came, for prevention 未诉先办."""
Index(
    "ix_case_occurrence_cause",
    occurrence.c.gateway_no,
    occurrence.c.device_id,
    occurrence.c.code,
    occurrence.c.at,
)

deadline: Final = Table(
    "case_deadline",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("case_id", Number, ForeignKey("fleet_case.id"), nullable=False, index=True),
    Column("stage", String(16), nullable=False),  # cases.policy.Stage
    Column("alarm_id", String(26)),  # a rescue is owed to each trapped alarm; None: the whole case
    Column("code", String(64), nullable=False),  # event it was looked up for
    Column("started_at", Moment, nullable=False),
    Column("yellow_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("policy", String(64), nullable=False),  # SHA-256 of the document
    Column("explanation", Text, nullable=False),  # cases.limits.Explanation, JSON
    Column("is_provisional", Boolean, nullable=False),  # a year's holidays were not known
    Column("met_at", Moment),
    Column("voided_at", Moment),
    Column("void_reason", String(64)),
    Column("told", String(8), nullable=False),  # light last announced: memory of the announcer, not the truth
    Column("rungs", Integer, nullable=False),  # of the ladder already taken
    Column("look_at", Moment, index=True),  # when the clockwork looks again; None: never
)

timeline: Final = Table(
    "case_timeline",
    METADATA,
    Column("case_id", Number, ForeignKey("fleet_case.id"), primary_key=True),
    Column("n", Number, primary_key=True, autoincrement=False),  # 1, 2, … without gaps: the case's revision
    Column("at", Moment, nullable=False),
    Column("what", String(24), nullable=False),  # cases.docket.Happened
    Column("actor", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("unit", String(128), nullable=False),
    Column("station", String(64), nullable=False),
    Column("detail", Text, nullable=False),  # canonical JSON
    Column("hash", LargeBinary(32), nullable=False),  # chains the lines of one case
)
"""Append-only."""

photo: Final = Table(
    "case_photo",
    METADATA,
    Column("case_id", Number, ForeignKey("fleet_case.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),  # of the file as it is kept
    Column("media_type", String(32), nullable=False),
    Column("size_bytes", Number, nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("round", Integer, nullable=False),
)

document: Final = Table(
    "case_document",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),  # YAML as it was read
)
"""Every policy that ever gave a deadline, also the one that shipped with an older program."""

policy: Final = Table(
    "case_policy",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("city_id", Number, ForeignKey("org_node.id"), index=True),  # None: every city without its own
    Column("sha256", String(64), ForeignKey("case_document.sha256"), nullable=False),
    Column("imported_at", Moment, nullable=False),
    Column("actor", String(64), nullable=False),
)
"""The latest of a city is in force; older ones stay, deadlines refer to them."""

holiday_year: Final = Table(
    "case_holiday_year",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("city_id", Number, ForeignKey("org_node.id"), index=True),  # None: every city
    Column("year", Integer, nullable=False),
    Column("text", Text, nullable=False),  # cases.calendar.HolidayYear, JSON
    Column("imported_at", Moment, nullable=False),
    Column("actor", String(64), nullable=False),
)

inbox: Final = Table(
    "inbox",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("case_id", Number, ForeignKey("fleet_case.id"), nullable=False, index=True),
    Column("audience", String(32), nullable=False),  # people.roles.Role
    Column(
        "user_id", Number, ForeignKey("fleet_user.id"), index=True
    ),  # one person; None: the whole audience
    Column("node_path", String(512), nullable=False),  # of the community: who reaches it is told
    Column("light", String(8), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("text_zh", String(256), nullable=False),
    Column("text_en", String(256), nullable=False),
)

inbox_read: Final = Table(
    "inbox_read",
    METADATA,
    Column("inbox_id", Number, ForeignKey("inbox.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Number, ForeignKey("fleet_user.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Moment, nullable=False),
    UniqueConstraint("user_id", "inbox_id"),
)
