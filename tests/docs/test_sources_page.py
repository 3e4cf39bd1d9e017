"""docs/sources.md names every server that a source may ask, as the source itself declares it."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from repo_server.curation.sources import sources

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
_ROW = re.compile(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| ((?:`https://[^`]+`(?:, )?)+)", re.MULTILINE)


def test_the_table_of_servers_is_what_the_sources_declare() -> None:
    declared = {key: url for source in sources().values() for key, url in source.bases.items()}
    written = {
        key: url
        for keys, urls in _ROW.findall(PAGE)
        for key, url in zip(re.findall("`([^`]+)`", keys), re.findall("`([^`]+)`", urls), strict=True)
    }
    plain = {"well-known", *(key for key in declared if key in {"github", "gitlab", "codeberg", "bitbucket"})}
    assert written == {key: url for key, url in declared.items() if key not in plain}
    for key in plain:
        assert f"`{key}`" in PAGE


def test_the_blob_store_is_named_where_its_rule_is_told() -> None:
    section = PAGE.partition("\n## browse.sh\n")[2].partition("\n## ")[0]
    assert urlsplit(sources()["browse-sh"].bases["browse-sh-blobs"]).netloc in section
