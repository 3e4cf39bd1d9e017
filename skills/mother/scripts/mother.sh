#!/bin/sh
# Finds a Python of at least 3.9 and hands over to the folder mother beside this file.
# -I: nothing from PYTHON* variables, the current folder or a user's site-packages is loaded.
# -B: nothing is written beside the skill, whose folder must stay as it was signed.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
PATH="${PATH:-/usr/bin:/bin}:/usr/local/bin"
export PATH

for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
    if "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
        exec "$python" -I -B "$here/mother" "$@"
    fi
done

echo 'mother: error[not-found]: no Python of at least 3.9 is on the PATH' >&2
echo '{"error": {"code": "not-found", "hint": "ask the operator for the python3 package", "message": "no Python of at least 3.9 is on the PATH"}, "ok": false}'
exit 3
