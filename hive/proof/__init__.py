"""The first proof: that this host can carry a tenant from nothing to a heartbeat, and back, before a customer is at stake."""
