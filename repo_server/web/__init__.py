"""The read side of the repository over HTTP: two sites of published files, a small API, health."""
