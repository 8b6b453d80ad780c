"""The redb file: its states, who holds it, private copies of it, and what is remembered about it outside of it.

Nothing is imported here: `status` imports single modules, cold.
"""
