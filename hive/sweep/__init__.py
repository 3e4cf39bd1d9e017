"""Sweeps: every living jail compared with its lock, and with what is revoked by now; and what is done about it."""
