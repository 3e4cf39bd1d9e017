"""`hive doctor`: everything on this host that can be wrong, each with its mend. It looks, and changes nothing."""
