#!/bin/sh
# Resolve requirements.in, and the scanner itself, into one locked file with hashes, without any index address in it.
# Releases younger than seven days are not taken: most malicious releases are found within days.
set -eu
cd "$(dirname "$0")"
before=$(python3 -c 'import datetime as d; print((d.datetime.now(d.timezone.utc) - d.timedelta(days=7)).strftime("%Y-%m-%dT00:00:00Z"))')
resolve() {
  uv pip compile - --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --exclude-newer "$before" "$@"
}
{
  echo 'cisco-ai-skill-scanner==2.3.2' | resolve --no-deps
  resolve < requirements.in
} > requirements.txt.new
mv requirements.txt.new requirements.txt
