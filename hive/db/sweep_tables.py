"""What a sweep found, and quarantines."""
