#!/bin/sh
# poudriere hook "pkgrepo": publishes a repository that was just committed. For poudriere after 3.4.
#
#   pkgrepo.sh sign PACKAGES PKG_REPO_SIGNING_KEY PKG_REPO_FROM_HOST PKG_REPO_META_FILE    before pkg repo
#   pkgrepo.sh publish PACKAGES                                                           after the commit
#
# Install: /usr/local/etc/poudriere.d/hooks/plugins/skillrepo/pkgrepo.sh, beside skillrepo-publish.sh.
set -eu

# shellcheck source=skillrepo-publish.sh
. "${0%/*}/skillrepo-publish.sh"

case ${1:-} in
sign)
	# Nothing to do: skillrepo pkg publish writes and signs the catalogue that clients see. But a key that is named here is
	# copied into the build jail, where every port that is built can read it.
	if [ -n "${3:-}" ]; then
		say "PKG_REPO_SIGNING_KEY is set: unset it, builds do not need the key (skillrepo signs what it publishes)"
	fi
	exit 0
	;;
publish) ;;
*) exit 0 ;;
esac

read_conf
case ${POUDRIERE_BUILD_TYPE:-bulk} in
testport) exit 0 ;; # somebody tries a port
bulk) records=${LOG:-} ;;
*)
	# pkgclean and repo have no records of their own; the packages are those of the build that is named beside them.
	find_records "${2:-}"
	;;
esac
publish "${2:-}" "$records" ''
