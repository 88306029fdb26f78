"""The gateway's contract: alarm states and priorities, events, chain hashing, replication and orders.

A leaf: imports nothing of ours and touches no file, socket or clock. Gateway, fleet server, bench and
consoles all read the same tables from here.
"""
