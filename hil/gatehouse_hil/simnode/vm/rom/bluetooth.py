# mypy: ignore-errors
"""`bluetooth.BLE` as a peripheral: legacy adverts and a GATT server; the air outside is the simulated medium."""

import binascii
import json

import _board
import simboot

FLAG_READ, FLAG_WRITE_NO_RESPONSE, FLAG_WRITE, FLAG_NOTIFY, FLAG_INDICATE = 0x02, 0x04, 0x08, 0x10, 0x20
_CONNECT, _DISCONNECT, _WRITE = 1, 2, 3


class UUID:
    def __init__(self, value):
        if isinstance(value, int):
            self._text = "%04x" % value
        elif isinstance(value, str):
            self._text = value.lower()
        else:
            self._text = binascii.hexlify(bytes(reversed(value))).decode()

    def __eq__(self, other):
        return isinstance(other, UUID) and other._text == self._text

    def __hash__(self):
        return hash(self._text)

    def __repr__(self):
        return "UUID('%s')" % self._text


class BLE:
    _one = None

    def __new__(cls):
        if cls._one is None:
            cls._one = object.__new__(cls)
            cls._one._start()
        return cls._one

    def __init__(self):
        pass

    def _start(self):
        self._is_active = False
        self._handler = None
        self._values = {}
        self._appends = set()
        self._next_handle = 16
        self._mtu = 256
        self._name = "MPY ESP32"
        simboot._HANDLERS["connected"] = self._happened
        simboot._HANDLERS["disconnected"] = self._happened
        simboot._HANDLERS["written"] = self._happened

    def active(self, active=None):
        if active is None:
            return self._is_active
        if self._is_active and not active:
            self.gap_advertise(None)
        self._is_active = bool(active)
        _board.tell("ble_active", json.dumps(self._is_active))
        return self._is_active

    def _check(self):
        if not self._is_active:
            raise OSError(19)

    def config(self, *args, **kwargs):
        if args:
            if args[0] == "mac":
                return (0, binascii.unhexlify(_board.fact("ble_mac")))
            if args[0] == "mtu":
                return self._mtu
            if args[0] == "gap_name":
                return self._name.encode()
            raise ValueError("unknown config param")
        self._mtu = kwargs.get("mtu", self._mtu)
        self._name = kwargs.get("gap_name", self._name)

    def irq(self, handler):
        self._handler = handler

    def _happened(self, kind, number, handle, text):
        if kind == "written":
            self._values[handle] = (
                self._values.get(handle, b"") if handle in self._appends else b""
            ) + binascii.unhexlify(text)
            event = _WRITE, (number, handle)
        else:
            event = (_CONNECT if kind == "connected" else _DISCONNECT), (number, 0, binascii.unhexlify(text))
        if self._handler:
            self._handler(*event)

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        self._check()
        if interval_us is None:
            _board.tell("advertise", "null")
            return
        if adv_data is not None:
            if len(adv_data) > 31:
                raise OSError(22)
            self._adv = binascii.hexlify(bytes(adv_data)).decode()
        _board.tell(
            "advertise",
            json.dumps({"interval_us": interval_us, "data": self._adv, "is_connectable": bool(connectable)}),
        )

    def gatts_register_services(self, services):
        self._check()
        table, handles = [], []
        for uuid, characteristics in services:
            rows = []
            for characteristic in characteristics:
                self._next_handle += 3
                self._values[self._next_handle] = b""
                rows.append([characteristic[0]._text, characteristic[1], self._next_handle])
            table.append([uuid._text, rows])
            handles.append(tuple([row[2] for row in rows]))
        _board.tell("services", json.dumps(table))
        return tuple(handles)

    def gatts_read(self, handle):
        value = self._values[handle]
        if handle in self._appends:
            self._values[handle] = b""
        return value

    def gatts_write(self, handle, data, send_update=False):
        self._values[handle] = bytes(data)
        _board.tell(
            "value",
            json.dumps(
                {
                    "handle": handle,
                    "hex": binascii.hexlify(bytes(data)).decode(),
                    "is_update": bool(send_update),
                }
            ),
        )
        return len(data)

    def gatts_notify(self, conn_handle, value_handle, data=None):
        data = self._values[value_handle] if data is None else bytes(data)
        _board.tell(
            "value",
            json.dumps({"handle": value_handle, "hex": binascii.hexlify(data).decode(), "is_update": True}),
        )

    gatts_indicate = gatts_notify

    def gatts_set_buffer(self, value_handle, len, append=False):
        if append:
            self._appends.add(value_handle)

    def gap_disconnect(self, conn_handle):
        _board.tell("disconnect", json.dumps(conn_handle))
        return True
