"""The way to the fleet server: the journal up, orders down, over one client certificate.

Nothing local ever waits for it. `link` is what the console shows; `replicator` sends the journal, alarms first;
`order_feed` reads orders and `order_desk` carries them out through the ledger; `config_trial` tries configurations and takes
them back; `identity` and `enrolment` hold key and certificate.
"""

from gatehouse_edge.uplink.config_trial import ConfigTrials
from gatehouse_edge.uplink.errors import UplinkError
from gatehouse_edge.uplink.link import Link, LinkState, LinkView
from gatehouse_edge.uplink.uplink import Home, Uplink

__all__ = ["ConfigTrials", "Home", "Link", "LinkState", "LinkView", "Uplink", "UplinkError"]
