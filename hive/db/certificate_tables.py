"""Birth certificates and signed checkpoints of the log."""
