"""Accept, publish, serve: curation, publishing, storage, the Flask service and the `skillrepo` command."""
