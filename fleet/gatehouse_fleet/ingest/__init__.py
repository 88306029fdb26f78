"""Taking in the gateways' journals: read, verify (pure), commit in groups, then answer."""
