"""A daemon: servers, and what a process needs around them."""

from __future__ import annotations

from rpcgen.runtime.daemon.configuration import Configuration, ConfigurationError, text, whole
from rpcgen.runtime.daemon.daemon import Daemon, exit_code

__all__ = ["Configuration", "ConfigurationError", "Daemon", "exit_code", "text", "whole"]
