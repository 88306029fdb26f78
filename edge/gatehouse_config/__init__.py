"""The models of gateway.yaml, the profiles, and the check that names every fault at once.

A leaf beside the journal: it reads files and nothing else, and knows neither drivers nor rules.
"""

from gatehouse_config.changes import Changes, diff
from gatehouse_config.fault import ConfigError, Fault, FaultyConfigError, ProfileError
from gatehouse_config.gas_profile import GasSample, decode
from gatehouse_config.load import Examined, check, examine, load
from gatehouse_config.model import GatewayConfig
from gatehouse_config.named_files import NamedFile

__all__ = [
    "Changes",
    "ConfigError",
    "Examined",
    "Fault",
    "FaultyConfigError",
    "GasSample",
    "GatewayConfig",
    "NamedFile",
    "ProfileError",
    "check",
    "decode",
    "diff",
    "examine",
    "load",
]
