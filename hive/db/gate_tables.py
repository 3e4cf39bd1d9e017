"""Gates before a paying customer, and what hosts cost."""
