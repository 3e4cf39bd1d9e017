"""What the host knows: tenants, births, opt-ins and the audit log."""
