#!/bin/sh
# Resolve requirements/*.in into locked files with hashes, without any index address in them.
# Releases younger than seven days are not taken: most malicious releases are found within days.
set -eu
cd "$(dirname "$0")"
before=$(python3 -c 'import datetime as d; print((d.datetime.now(d.timezone.utc) - d.timedelta(days=7)).strftime("%Y-%m-%dT00:00:00Z"))')
for set in run server hive dev fuzz; do
  uv pip compile "$set.in" --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --exclude-newer "$before" --output-file "$set.txt"
done
