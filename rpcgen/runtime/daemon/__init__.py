"""A daemon: servers, and what a process needs around them."""

from __future__ import annotations

from rpcgen.runtime.daemon.configuration import Configuration, ConfigurationError, text, whole
from rpcgen.runtime.daemon.daemon import Daemon, exit_code
from rpcgen.runtime.daemon.succession import Heritage

__all__ = [
    "Configuration",
    "ConfigurationError",
    "Daemon",
    "Heritage",
    "exit_code",
    "text",
    "whole",
]
