"""Every byte format of the field, defined once for firmware, gateway, simulators and tests.

MicroPython subset: imports nothing but `struct`, plain classes, `%` formatting. Ciphers are passed in as
functions, so the same files run on a node (cryptolib) and on the gateway (cryptography).
Every decoder raises `errors.WireError` and nothing else, whatever bytes it is given.
"""
