"""What was provisioned into which jail; never a value."""
