"""Runs one line of tests/vectors through the wire modules and says what came out, as text.

In the MicroPython subset: the same file runs under CPython and on the MicroPython VM, and both must say the same.
Bytes print as hex, floats with four decimals, a refusal as `!reason`.
"""
# ruff: noqa: UP031  # MicroPython subset

import hashlib

from gatehouse_wire import (
    bthome,
    button_receipt,
    cobs,
    crc,
    gas_registers,
    ld2410,
    lift_link,
    lift_push,
    modbus_rtu,
    node_update,
    pir_radar,
    witmotion,
)
from gatehouse_wire.errors import WireError
from gatehouse_wire.record import Record


def hmac_sha256(key):
    """Return the mac function of a key (RFC 2104), as a node without an hmac module has to make it."""
    padded = key + bytes(64 - len(key))
    inner = bytes([byte ^ 0x36 for byte in padded])
    outer = bytes([byte ^ 0x5C for byte in padded])

    def mac(data):
        return hashlib.sha256(outer + hashlib.sha256(inner + data).digest()).digest()

    return mac


def text(value):
    """Return a value as both interpreters print it alike."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex() or "-"
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return "%.4f" % value
    if isinstance(value, (list, tuple)):
        return "[%s]" % " ".join([text(item) for item in value])
    if isinstance(value, Record):
        fields = ["%s=%s" % (name, text(item)) for name, item in sorted(value.__dict__.items())]
        return "%s(%s)" % (type(value).__name__, " ".join(fields))
    return str(value)


def run(name, argument, ccm_open):
    """Return what `name` makes of `argument`. `ccm_open(key, nonce, sealed)` all hex, returns hex, or "" when forged."""
    words = argument.split(" ")
    data = bytes.fromhex("" if words[-1] == "-" else words[-1])
    try:
        return text(_OPERATIONS[name](words, data, ccm_open))
    except WireError as error:
        return "!" + error.reason


def _modbus(words, data, _):
    return modbus_rtu.parse_read_reply(data, unit=int(words[0]), function=int(words[1]), count=int(words[2]))


def _bthome(words, data, ccm_open):
    def open_(nonce, sealed):
        plain = ccm_open(words[0], bytes(nonce).hex(), bytes(sealed).hex())
        if not plain:
            raise ValueError("forged")
        return bytes.fromhex(plain)

    return bthome.open_advert(data, bytes.fromhex(words[1]), open_)


def _lift(words, data, _):
    mac = hmac_sha256(bytes.fromhex(words[0]))

    def mac_for(node_id, key_id):
        return mac if node_id == 7 and key_id in (1, 2) else None

    message = lift_link.decode(cobs.decode(data), mac_for)
    if cobs.encode(lift_link.pack(message, mac)) != data:
        raise AssertionError("packs to other bytes")
    return message


def _receipt(words, data, _):
    mac = hmac_sha256(bytes.fromhex(words[0]))
    receipt = button_receipt.decode(data, bytes.fromhex(words[1]), mac)
    if button_receipt.encode(receipt, bytes.fromhex(words[1]), mac) != data:
        raise AssertionError("packs to other bytes")
    return receipt


def _gas(words, data, _):
    registers = modbus_rtu.parse_read_reply(data, unit=1, function=3, count=gas_registers.COUNT)
    block = gas_registers.decode(registers)
    if gas_registers.encode(block) != registers:
        raise AssertionError("packs to other registers")
    return block


def _offer(words, data, _):
    mac = hmac_sha256(bytes.fromhex(words[0]))
    request = node_update.parse_request(data)
    nonce = bytes.fromhex(words[2])
    return node_update.is_genuine(request, node_id=int(words[1]), nonce=nonce, mac=mac)


def _image(words, data, _):
    return node_update.parse_image(data, lambda body: hashlib.sha256(body).digest())


def _answer(words, data, _):
    answer = node_update.parse_answer(data)
    if node_update.pack_answer(answer) != data:
        raise AssertionError("packs to other bytes")
    return answer


_OPERATIONS = {
    "crc16_modbus": lambda words, data, _: "%04x" % crc.crc16_modbus(data),
    "crc16_ccitt": lambda words, data, _: "%04x" % crc.crc16_ccitt(data),
    "sum8": lambda words, data, _: "%02x" % crc.sum8(data),
    "xor8": lambda words, data, _: "%02x" % crc.xor8(data),
    "cobs_encode": lambda words, data, _: cobs.encode(data),
    "cobs_decode": lambda words, data, _: cobs.decode(data),
    "cobs_stream": lambda words, data, _: cobs.Deframer(64).feed(data),
    "modbus_crc": lambda words, data, _: modbus_rtu.checked(data),
    "modbus_reply": _modbus,
    "modbus_request": lambda words, data, _: modbus_rtu.parse_request(data),
    "node_image": _image,
    "node_request": lambda words, data, _: node_update.parse_request(data),
    "node_offer": _offer,
    "node_answer": _answer,
    "pir_radar": lambda words, data, _: pir_radar.parse(data),
    "pir_radar_stream": lambda words, data, _: pir_radar.Deframer().feed(data),
    "ld2410": lambda words, data, _: ld2410.parse(data),
    "ld2410_stream": lambda words, data, _: ld2410.Deframer().feed(data),
    "witmotion": lambda words, data, _: witmotion.parse(data),
    "witmotion_stream": lambda words, data, _: witmotion.Deframer().feed(data),
    "lift_push": lambda words, data, _: lift_push.Deframer(64).feed(data),
    "bthome_plain": lambda words, data, _: bthome.parse(data),
    "bthome_open": _bthome,
    "lift_link": _lift,
    "button_receipt": _receipt,
    "gas_block": _gas,
}
