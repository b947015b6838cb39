"""What the embedded hypervisor is made of: objects in memory, their rules and their locks.

Nothing here knows of sessions, procedures or streams.
"""
