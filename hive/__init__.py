"""Tenants, admission, birth, jails and audit; the `hive` command. Runs on the jail host, pure Python."""
