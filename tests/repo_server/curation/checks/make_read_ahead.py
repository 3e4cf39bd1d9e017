"""Make ``read_ahead.json`` anew: python tests/repo_server/curation/checks/make_read_ahead.py."""

import repo_server.curation.checks
from repo_server.curation.checks import phrases, read_ahead

assert repo_server.curation.checks.VERSION  # importing it is what makes all phrases known


def made() -> str:
    """Return the text of the table for the phrases of all checks."""
    return read_ahead.table_of(source for known in phrases.known() for source in known.sources)


if __name__ == "__main__":
    read_ahead.TABLE.write_text(made(), encoding="ascii")
