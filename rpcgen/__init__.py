"""Typed Python bindings from ``.x`` protocol definitions, and the runtime they link to.

Nothing is imported here: ``rpcgen.runtime`` must load without the generator, and the
generator without the runtime.
"""

__version__ = "0.1.0"
