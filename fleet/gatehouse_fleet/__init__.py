"""The fleet server of a district or a city: gateways, alarms, cases with deadlines, and the city platform's receipt.

Data flows one way: ingest -> journal -> projection -> alarms -> cases -> city, console. Everything that leaves is a
reader of a gateway's journal with a cursor of its own; nothing is acknowledged before it is committed.
"""
