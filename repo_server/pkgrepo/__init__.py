"""Package repositories: read and verified, written and signed, published and served."""
