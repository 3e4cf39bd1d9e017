"""Fetch and verify: the TUF client, the store of verified trees, and `skillrepo-client`. Pure Python."""
