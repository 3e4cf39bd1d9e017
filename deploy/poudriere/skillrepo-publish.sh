# What bulk.sh, pkgrepo.sh and publish-again.sh share; they read it, nothing runs it. POSIX sh: poudriere calls hooks by
# /bin/sh.
#
# A hook that ends with another status than 0 stops poudriere. So these end with 0 and say in the system's log what went
# wrong, unless the configuration has FAIL_BUILD=yes. Publishing again is always safe: publish-again.sh.

HERE=${0%/*}
[ "$HERE" != "$0" ] || HERE=.
BY_HAND=no # yes: a person waits for it, and no build
CONF=${SKILLREPO_PUBLISH_CONF:-/usr/local/etc/skillrepo/pkg-publish.conf}

say() {
	printf 'skillrepo: %s\n' "$1" >&2
	logger -t skillrepo-publish -- "$1" 2>/dev/null || :
}

# Ends the hook after a failure.
fail() {
	say "$1"
	if [ "${FAIL_BUILD:-no}" = yes ] || [ "$BY_HAND" = yes ]; then
		exit 1
	fi
	exit 0
}

yes_or_no() {
	case $2 in
	yes | no) ;;
	*) fail "$CONF: $1 is yes or no, not '$2'" ;;
	esac
}

# Reads KEY=VALUE lines. They are never evaluated: no quotes, no variables, no commands.
read_conf() {
	PROGRAM=/usr/local/bin/skillrepo
	FAIL_BUILD=no PUBLISH_FAILED=no REPO='' KEYS='' AS='' PASSPHRASE_FILE='' TOKEN_FILE='' TRUST_ANCHOR=''
	PKG_KEY='' PKG_PASSPHRASE_FILE='' PKG_SITE='' ONLINE_PASSPHRASE_FILE='' TARGET=''
	[ -r "$CONF" ] || fail "cannot read $CONF: nothing is published"
	while IFS= read -r line || [ -n "$line" ]; do
		key=${line%%=*} value=${line#*=}
		case $line in
		'' | '#'*) continue ;;
		*=*) ;;
		*) fail "$CONF: not KEY=VALUE: $line" ;;
		esac
		case $key in
		FAIL_BUILD) yes_or_no "$key" "$value"; FAIL_BUILD=$value ;;
		PUBLISH_FAILED) yes_or_no "$key" "$value"; PUBLISH_FAILED=$value ;;
		PROGRAM) PROGRAM=$value ;;
		REPO) REPO=$value ;;
		KEYS) KEYS=$value ;;
		AS) AS=$value ;;
		PASSPHRASE_FILE) PASSPHRASE_FILE=$value ;;
		TOKEN_FILE) TOKEN_FILE=$value ;;
		TRUST_ANCHOR) TRUST_ANCHOR=$value ;;
		PKG_KEY) PKG_KEY=$value ;;
		PKG_PASSPHRASE_FILE) PKG_PASSPHRASE_FILE=$value ;;
		PKG_SITE) PKG_SITE=$value ;;
		ONLINE_PASSPHRASE_FILE) ONLINE_PASSPHRASE_FILE=$value ;;
		"BUILD.${MASTERNAME:-}") TARGET=$value ;;
		BUILD.*) ;;
		*) fail "$CONF: unknown key $key" ;;
		esac
	done <"$CONF"
}

# Sets BUILDNAME and records to those of the build whose packages are in $1, as far as they can be found.
find_records() {
	BUILDNAME='' records=''
	if [ -r "$1/.buildname" ]; then
		IFS= read -r BUILDNAME <"$1/.buildname" || :
	fi
	case $BUILDNAME in
	'' | .* | *[!A-Za-z0-9_.:+-]*) BUILDNAME='' ;;
	*) records=${POUDRIERE_DATA:-/usr/local/poudriere/data}/logs/bulk/${MASTERNAME:-}/$BUILDNAME ;;
	esac
}

# Publishes what is in $1; $2 is the folder with the build's records, $3 the five numbers of bulk done. Both may be empty.
publish() {
	packages=$1 records=$2 numbers=$3
	if [ -z "$packages" ] || [ -z "${MASTERNAME:-}" ]; then
		fail "poudriere named no packages, or no MASTERNAME: nothing is published"
	fi
	if [ -z "$TARGET" ]; then
		say "no BUILD.$MASTERNAME in $CONF: $MASTERNAME is not published"
		exit 0
	fi
	abi=${TARGET%% *} channel=${TARGET##* }
	if [ "$TARGET" != "$abi $channel" ]; then
		fail "$CONF: BUILD.$MASTERNAME is ABI and CHANNEL, not '$TARGET'"
	fi
	set -- pkg publish --packages "$packages" --abi "$abi" --channel "$channel"
	if [ -n "$records" ]; then
		set -- "$@" --build "$records"
	fi
	if [ "$PUBLISH_FAILED" = yes ]; then
		set -- "$@" --allow-failed
	fi
	# Its own environment: nothing that a port's build or poudriere.conf left here reaches Python.
	set -- "$PROGRAM" "$@"
	for pair in "REPO=$REPO" "KEYS=$KEYS" "AS=$AS" "PASSPHRASE_FILE=$PASSPHRASE_FILE" "TOKEN_FILE=$TOKEN_FILE" \
		"TRUST_ANCHOR=$TRUST_ANCHOR" "PKG_KEY=$PKG_KEY" "PKG_PASSPHRASE_FILE=$PKG_PASSPHRASE_FILE" \
		"PKG_SITE=$PKG_SITE" "ONLINE_PASSPHRASE_FILE=$ONLINE_PASSPHRASE_FILE" "BULK_DONE=$numbers"; do
		if [ -n "${pair#*=}" ]; then
			set -- "SKILLREPO_$pair" "$@"
		fi
	done
	status=0
	said=$(env -i PATH="$PATH" HOME="${HOME:-/root}" LC_ALL=C.UTF-8 MASTERNAME="$MASTERNAME" \
		BUILDNAME="${BUILDNAME:-}" "$@" 2>&1 </dev/null) || status=$?
	if [ -n "$said" ]; then
		printf '%s\n' "$said" | while IFS= read -r line; do say "$line"; done
	fi
	if [ "$status" -ne 0 ]; then
		fail "$MASTERNAME was not published to $abi/$channel (status $status); mend the cause, then: sh $HERE/publish-again.sh $MASTERNAME"
	fi
	say "$MASTERNAME ${BUILDNAME:-}: published to $abi/$channel"
}
