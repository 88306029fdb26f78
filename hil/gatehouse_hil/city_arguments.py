"""What the simulated city platform can be told on a command line; apart, so that `gatehouse-bench --help` loads no broker client."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_city_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `gatehouse_hil.city_platform` and `gatehouse-bench city`."""
    parser.add_argument("--store", type=Path, required=True, help="file of what was received")
    parser.add_argument("--http", type=int, default=0, help="port of CloudEvents and one-hot (0: any)")
    parser.add_argument("--text", type=int, default=0, help="port of #10#…#13# frames (0: any)")
    parser.add_argument("--fire", type=int, default=0, help="port of GB/T 26875.3 (0: any)")
    parser.add_argument("--mqtt", default="", help="HOST:PORT of a broker to take events from")
    parser.add_argument("--topic", default="up/events", help="topic of events at that broker")
    parser.add_argument("--type-field", default="cmd", help="field that names a text frame's kind")
    parser.add_argument("--key-file", type=Path, help="shared key: unsigned messages are refused")
