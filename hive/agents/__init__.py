"""Agents, their capabilities, and the routing of jobs to them."""
