"""What a ``.x`` file means: ``load`` reads files into modules, ``types`` says what a module is."""

# No ``from __future__ import annotations`` here: it would hide the module of that name.
from rpcgen.model.build import load

__all__ = ["load"]
