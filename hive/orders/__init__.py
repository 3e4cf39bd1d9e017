"""Births that are ordered, and the hosts that make them: a job each, claimed by a womb of the right ABI."""
