"""From the gateways' journals to alarms as they stand now, devices, and the feed that screens follow."""
