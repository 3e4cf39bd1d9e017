"""`skillrepo pkg`: FreeBSD package repositories."""

from typing import Final

import click

from signing.console import LazyGroup

_LOOK, _PUBLISH, _KEYS = "Look", "Publish", "Keys"
_COMMANDS: Final = {
    "verify": ("repo_server.cli.pkg.verify:verify", "Is this repository good? A folder or a URL.", _LOOK),
    "serials": ("repo_server.cli.pkg.serials:serials", "What was published, the newest first.", _LOOK),
    "publish": ("repo_server.cli.pkg.publish:publish", "Check, sign and publish a finished build.", _PUBLISH),
    "renew": ("repo_server.cli.pkg.publish:renew", "Sign what is published for another term.", _PUBLISH),
    "rollback": (
        "repo_server.cli.pkg.rollback:rollback",
        "Publish an earlier serial again, as a new one.",
        _PUBLISH,
    ),
    "gc": ("repo_server.cli.pkg.gc:gc", "Drop what no serial within its grace period needs.", _PUBLISH),
    "advisories": (
        "repo_server.cli.pkg.advisories:advisories",
        "Sign and publish the list of known vulnerabilities.",
        _PUBLISH,
    ),
    "builder": ("repo_server.cli.pkg.builder:builder", "Whose key builds ABI/CHANNEL; signed.", _KEYS),
    "key": ("repo_server.cli.pkg.key:key", "Make and show keys that sign for pkg.", _KEYS),
    "fingerprint": (
        "repo_server.cli.pkg.fingerprint:fingerprint",
        "Write trusted/ and revoked/ for clients.",
        _KEYS,
    ),
    "sign-digest": (
        "repo_server.cli.pkg.sign_digest:sign_digest",
        "The signing_command of pkg and poudriere.",
        _KEYS,
    ),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def pkg() -> None:
    """Verify, sign and publish package repositories of FreeBSD."""
