"""Every limit of the embedded hypervisor, named, with its reason."""

from __future__ import annotations

from typing import Final

DOCUMENT_MAX: Final = 1_048_576
"""Bytes of an XML description: one of a domain with hundreds of devices has a tenth of it."""

DEPTH_MAX: Final = 64
"""Elements within elements: libvirt's own descriptions stay below 12, and writing recurses."""

CONTEXT_MAX: Final = 80
"""Characters of a faulty line that an error quotes: what a terminal shows of one."""

VCPUS_MAX: Final = 32
"""Virtual processors of a domain: what libvirt's test driver has."""

OBJECTS_MAX: Final = 16_384
"""Domains, networks or pools, volumes of a pool, snapshots of a domain.

The protocol lists no more (REMOTE_DOMAIN_LIST_MAX and its like).
"""

SUBSCRIPTIONS_MAX: Final = 1024
"""Events that one client can ask for: every kind of every domain that anybody tries out."""

POOL_CAPACITY: Final = 107_374_182_400
"""Bytes that a pool claims to have: what libvirt's test driver says."""

STORED_MAX: Final = 1_073_741_824
"""Bytes of memory for the contents of all volumes: then the disk is full."""

PAGE: Final = 65_536
"""Bytes of a volume that are stored or not: what a hole is rounded to."""
