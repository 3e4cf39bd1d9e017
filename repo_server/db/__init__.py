"""What is staged, reviewed, signed and published: the only place where mutable decisions are made."""
