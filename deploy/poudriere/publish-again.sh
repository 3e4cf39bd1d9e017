#!/bin/sh
# Publishes by hand what poudriere built last, with the settings of the hooks; its exit status says whether that worked.
#
#   sh publish-again.sh 143amd64-clawdie                a name as in /usr/local/poudriere/data/packages
#   sh publish-again.sh 143amd64-clawdie publish-failed  also when ports failed in the build
#
# Install: beside bulk.sh and skillrepo-publish.sh. POUDRIERE_DATA is the folder of poudriere's data, when it is another one.
set -eu

case $0 in
*/*) here=${0%/*} ;;
*) here=. ;;
esac
# shellcheck source=skillrepo-publish.sh
. "$here/skillrepo-publish.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "${2:-publish-failed}" != publish-failed ]; then
	printf 'usage: sh publish-again.sh MASTERNAME [publish-failed]\n' >&2
	exit 2
fi
MASTERNAME=$1
packages=${POUDRIERE_DATA:-/usr/local/poudriere/data}/packages/$MASTERNAME
BY_HAND=yes
[ -e "$packages/.latest" ] || fail "there is no $packages/.latest: is $MASTERNAME the name of a build?"
read_conf
[ "${2:-}" != publish-failed ] || PUBLISH_FAILED=yes
[ -n "$TARGET" ] || fail "no BUILD.$MASTERNAME in $CONF: say there where it goes"
find_records "$packages/.latest"
publish "$packages/.latest" "$records" ''
