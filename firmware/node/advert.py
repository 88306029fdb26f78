"""What a button or beacon puts on air: one legacy advert (31 bytes at most) around encrypted BTHome service data."""

from gatehouse_wire import bthome

_FLAGS = b"\x02\x01\x06"
_SERVICE_DATA = 0x16


def advert(*, counter, seal, address, battery_pct=None, is_tampered=False, is_pressed=False):
    """Return the advert's bytes for a counter that is on flash already; `address` 6 bytes as printed."""
    fields = [bthome.Field(bthome.PACKET_ID, bytes([counter & 0xFF]))]
    if battery_pct is not None:
        fields.append(bthome.Field(bthome.BATTERY, bytes([battery_pct])))
    if is_tampered:
        fields.append(bthome.Field(bthome.TAMPER, b"\x01"))
    if is_pressed:
        fields.append(bthome.Field(bthome.BUTTON, bytes([bthome.BUTTON_PRESS])))
    data = bthome.seal_advert(fields, address=address, counter=counter, seal=seal, is_trigger=is_pressed)
    section = bytes([_SERVICE_DATA]) + bthome.SERVICE_UUID.to_bytes(2, "little") + data
    return _FLAGS + bytes([len(section)]) + section
