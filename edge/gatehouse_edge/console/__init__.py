"""The console on the gateway: live alarms, orders, users. Reads the journal; orders go through the ledger."""

from gatehouse_edge.console.accounts import Accounts
from gatehouse_edge.console.app import create_app, reconfigure
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.console.server import ConsoleError, ConsoleServer, console_directory, tls_files

__all__ = [
    "Accounts",
    "ConsoleError",
    "ConsoleServer",
    "DeskPort",
    "console_directory",
    "create_app",
    "reconfigure",
    "tls_files",
]
