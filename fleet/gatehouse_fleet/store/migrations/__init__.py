"""Migrations of the fleet's database, one chain for SQLite and PostgreSQL.

| what | how |
|---|---|
| bring a database up | `gatehouse-fleet migrate` (SQLite: also at every start of `serve`) |
| before the first release | `python -m gatehouse_fleet.store.migrations.renew` writes `versions/initial.py` anew from the tables |
| after it | a new file in `versions/` per change; `initial.py` is never touched again |

A test compares what the migrations make with the tables, on both databases.
"""
