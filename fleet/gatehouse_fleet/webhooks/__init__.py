"""Deliveries of the feed to other people's servers: signed, in order, at least once, and only to networks that are allowed.

Nothing is sent anywhere until a file in the folder of webhooks names a receiver AND `webhooks.networks` in fleet.yaml
allows its address (domain row 50: no foreign endpoint by default).
"""
