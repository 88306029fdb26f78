"""What can be wrong with bytes from a wire. One error class; the reason says which check refused them."""

LENGTH = "length"
"""Too short, too long, or the length field disagrees with the bytes."""
CRC = "crc"
"""CRC or checksum is wrong: noise, or a foreign protocol."""
FRAMING = "framing"
"""Start, end or stuffing bytes are not where they must be."""
VERSION = "version"
"""A version (or reserved bit) this code does not know."""
TYPE = "type"
"""A message type, object id or function code this code does not know, or one for the other direction."""
FIELD = "field"
"""One field holds a value its table does not allow, or two fields contradict each other."""
KEY = "key"
"""No key for this sender and key id: an unknown node."""
MAC = "mac"
"""The authenticator is wrong: forged, or the wrong key."""
REFUSED = "refused"
"""The device answered with an exception; `code` holds its number."""


class WireError(ValueError):
    """These bytes are not a valid message. `reason` is one of the constants above, `detail` is for people."""

    def __init__(self, reason, detail="", code=0):
        super().__init__("%s: %s" % (reason, detail))
        self.reason = reason
        self.detail = detail
        self.code = code
