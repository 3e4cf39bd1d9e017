"""From a reviewed candidate to published metadata."""
