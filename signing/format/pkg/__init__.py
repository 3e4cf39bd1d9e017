"""Formats of FreeBSD packages and of what we sign about them; for the repository and for the hive (no IO)."""
