"""Jails: where a tenant's agent lives, and the one way in which this host writes into it."""
