"""What every part of the HTTP interface shares: the one error shape, paging, fields, sessions, limits, and who may ask."""
