#!/bin/sh
# poudriere hook "bulk": publishes a finished build. For poudriere 3.4.x, which has no "pkgrepo publish".
#
#   bulk.sh done BUILT FAILED IGNORED SKIPPED FETCHED
#
# Install: /usr/local/etc/poudriere.d/hooks/plugins/skillrepo/bulk.sh, beside skillrepo-publish.sh.
set -eu

[ "${1:-}" = 'done' ] || exit 0

# shellcheck source=skillrepo-publish.sh
. "${0%/*}/skillrepo-publish.sh"
read_conf

[ $# -ge 6 ] || fail "bulk done gave $(($# - 1)) numbers, not 5: nothing is published"
for number in "$2" "$3" "$4" "$5" "$6"; do
	case $number in
	'' | *[!0-9]*) fail "bulk done gave '$number', which is no number: nothing is published" ;;
	esac
done
# By default poudriere commits a build although ports failed in it.
if [ "$PUBLISH_FAILED" != yes ] && { [ "$3" -gt 0 ] || [ "$5" -gt 0 ]; }; then
	fail "$MASTERNAME ${BUILDNAME:-}: $2 built, $3 failed, $5 skipped: not published (PUBLISH_FAILED=yes would)"
fi
# shellcheck disable=SC2153 # PACKAGES is poudriere's
publish "${PACKAGES:-}" "${LOG:-}" "$2 $3 $4 $5 $6"
