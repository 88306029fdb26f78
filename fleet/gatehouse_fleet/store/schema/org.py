"""City > district > street > community > building > unit."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

org_node: Final = Table(
    "org_node",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),  # registry.org.NodeKind
    Column("parent_id", Number, ForeignKey("org_node.id"), index=True),
    Column(
        "path", String(512), nullable=False, unique=True
    ),  # "/1/5/9/": ids from the root to the node itself
    Column("code", String(64), nullable=False),  # our own short name, unique below one parent
    Column("name", String(128), nullable=False),  # Chinese, as people say it
    Column("name_en", String(128), nullable=False, server_default=""),
    Column("division_code", String(12)),  # 6, 9 or 12 digits
    Column("division_standard", String(16)),  # gbt2260 | stats_gov
    Column("facts", Text, nullable=False, server_default="{}"),  # JSON of registry.org.NodeFacts
    Column("created_at", Moment, nullable=False),
    CheckConstraint("kind IN ('city','district','street','community','building','unit')", name="kind"),
)
Index("uq_org_node_parent_code", org_node.c.parent_id, org_node.c.code, unique=True)
