"""What is signed, by whom, and how it is checked. No HTTP, no database, no Flask."""
