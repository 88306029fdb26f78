"""Simulated Bluetooth: a private D-Bus, a simulated `bluetoothd`, and a radio medium that loses, repeats and lies."""
