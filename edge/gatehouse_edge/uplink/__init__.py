"""The way to the fleet server: the journal up, orders down, over one client certificate.

Nothing local ever waits for it. `link` is what the console shows; `replicator` sends the journal, alarms first;
`order_feed` reads orders and `order_desk` carries them out through the ledger; `config_trial` tries configurations and takes
them back; `identity` and `enrolment` hold key and certificate.
"""
