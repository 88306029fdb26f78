"""Telling the city: adapters as data, delivery with a cursor, receipts, and the trace of every alarm.

An adapter is a YAML file: transport × envelope × code map × time format × signature. Pure parts render and read bytes
(`envelopes`, `codemap`, `times`, `coordinates`, `signing`); `transports` carry them; `courier` decides what goes next.
An event is done when the platform's receipt is stored, never when it was sent.
"""
