"""Who may call what: the permissions that ``@acl`` annotations ask for, and who decides on them."""

from __future__ import annotations

from rpcgen.runtime.access.guard import Guard, denied
from rpcgen.runtime.access.policy import AccessPolicy, Needs, Permission
from rpcgen.runtime.access.rules import Rules, RulesError

__all__ = ["AccessPolicy", "Guard", "Needs", "Permission", "Rules", "RulesError", "denied"]
