"""Secrets: from a tenant's bucket in the vault to the one file in its jail."""
