"""Agents, their tokens, jobs and leases."""
