"""Gates: what has to be proven on paper, and by a self-test, before a paying customer's agent is active."""
