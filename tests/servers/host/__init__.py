"""Tests that need what a machine has once: engines, an offline host, Debian's packages.

They run one after the other, and the rest of the sandbox's tests beside them.
"""
