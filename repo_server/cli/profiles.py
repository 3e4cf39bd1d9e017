"""`skillrepo profile`: pinned birth sets."""

from collections.abc import Sequence

import click

from repo_server.cli.context import (
    acting_as,
    clock,
    confirm,
    open_desk,
    open_signer,
)
from repo_server.cli.signing import (
    check_same,
    render_changes,
    standing_document,
    standing_text,
    what_changes,
)
from signing.console import Console, console_option
from signing.errors import KeyAccessError, UsageError
from signing.format.caps import Caps, sorted_caps
from signing.format.moment import parse_moment
from signing.format.names import Pin
from signing.format.pkg.names import PackageName, PackagePin, PackageRepo, parse_package_name
from signing.format.pkg.pins import VulnerabilityWaiver
from signing.format.profile import parse_capability


@click.group()
def profile() -> None:
    """Draft, sign and show pinned birth sets."""


@profile.command("new")
@click.argument("pin", metavar="NAME==VERSION")
@click.option("--skill", "skills", multiple=True, required=True, metavar="NAME==VERSION")
@click.option("--soul", "souls", multiple=True, metavar="NAME==VERSION", help="Identity layers, in order.")
@click.option("--capability", "capabilities", multiple=True, help="What agents of this profile may take on.")
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="ABI/CHANNEL:NAME",
    help="A package, with all that it needs: FreeBSD:14:amd64/latest:nginx",
)
@click.option(
    "--waive-vulnerability",
    "waived",
    multiple=True,
    metavar="PACKAGE=VID",
    help="Let in a vulnerable package; with --waive-owner, --waive-reason and --waive-until.",
)
@click.option("--waive-owner", default="", help="Who answers for what is waived.")
@click.option("--waive-reason", default="", help="Why the vulnerability does no harm here.")
@click.option("--waive-until", default="", metavar="TIME", help="When the waiver ends: 2026-12-01T00:00:00Z")
@click.option(
    "--cap",
    "caps",
    multiple=True,
    metavar="KIND=ENTRY",
    help="What its skills may touch at most: hosts=*.clawdie.si; KIND= allows nothing of that kind.",
)
@console_option
@click.pass_context
def new(
    ctx: click.Context,
    pin: str,
    skills: Sequence[str],
    souls: Sequence[str],
    capabilities: Sequence[str],
    packages: Sequence[str],
    waived: Sequence[str],
    waive_owner: str,
    waive_reason: str,
    waive_until: str,
    caps: Sequence[str],
    console: Console,
) -> None:
    """Draft the profile NAME==VERSION from published releases, pinned to their digests."""
    from repo_server.db.session import transaction
    from repo_server.publishing.profile_packages import pin_packages
    from repo_server.publishing.profiles import draft_profile

    wanted = _wanted_packages(packages)
    if not waived and (waive_owner or waive_reason or waive_until):
        raise UsageError("nothing is waived", hint="--waive-vulnerability PACKAGE=VID says what")
    waivers = [_waiver(word, waive_owner, waive_reason, waive_until) for word in waived]
    desk = open_desk(ctx, console)
    repository = desk.repository
    with transaction(repository.engine) as session:
        made = draft_profile(
            repository,
            session,
            Pin.parse(pin),
            skills=[Pin.parse(text, where="--skill") for text in skills],
            souls=[Pin.parse(text, where="--soul") for text in souls],
            capabilities=[parse_capability(text, "--capability") for text in capabilities],
            packages=pin_packages(repository, session, wanted),
            waivers=waivers,
            caps=_caps(caps),
            now=clock(),
        )
    desk.hand_in_profile(made.pin)
    lines = [f"  {kind} {item.pin}  tree {item.tree_sha256[:16]}…" for kind, item in made.items()]
    lines += [
        f"  package {item.pin}  {item.sha256[:16]}…  ({pins.repo})"
        for pins in made.packages
        for item in pins.items
    ]
    console.answer(
        {
            "profile": str(made.pin),
            "packages": [pins.to_json() for pins in made.packages],
            "waivers": [waiver.to_json() for waiver in made.waivers],
            "items": [{"kind": kind.value, **item.to_json()} for kind, item in made.items()],
            "capabilities": list(made.capabilities),
            "caps": made.caps.to_json(),
        },
        "\n".join([f"drafted {made.pin}", *lines, f"next: skillrepo profile sign {made.pin} --as OPERATOR"]),
    )


def _caps(words: Sequence[str]) -> Caps:
    given: dict[str, list[str]] = {}
    for word in words:
        kind, equals, entry = word.partition("=")
        if not equals:
            raise UsageError("--cap wants KIND=ENTRY", hint="--cap hosts=*.clawdie.si --cap tools=")
        given.setdefault(kind, []).extend([entry] if entry else [])
    return Caps.parse(sorted_caps(given), where="--cap")


def _wanted_packages(words: Sequence[str]) -> dict[PackageRepo, list[PackageName]]:
    wanted: dict[PackageRepo, list[PackageName]] = {}
    for word in words:
        repo, colon, name = word.rpartition(":")
        if not colon:
            raise UsageError(
                "--package wants ABI/CHANNEL:NAME", hint="--package FreeBSD:14:amd64/latest:nginx"
            )
        wanted.setdefault(PackageRepo.parse(repo, where="--package"), []).append(
            parse_package_name(name, where="--package")
        )
    return wanted


def _waiver(word: str, owner: str, reason: str, until: str) -> VulnerabilityWaiver:
    package, equals, vid = word.rpartition("=")
    if not equals or not owner or not reason or not until:
        raise UsageError(
            "a waiver names package and advisory, and has an owner, a reason and an end",
            hint="--waive-vulnerability demo-1.0=VID --waive-owner olga --waive-reason TEXT --waive-until TIME",
        )
    return VulnerabilityWaiver(
        package=PackagePin.parse(package, where="--waive-vulnerability"),
        vid=vid.lower(),
        owner=owner,
        reason=reason,
        expires_at=parse_moment(until, where="--waive-until"),
    )


@profile.command("sign")
@click.argument("pin", metavar="NAME==VERSION")
@click.option("--as", "holder", envvar="SKILLREPO_AS", help="The operator whose key signs.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def sign(ctx: click.Context, pin: str, holder: str | None, yes: bool, console: Console) -> None:
    """Sign the drafted profile; the last signature needed also publishes it where the online key is at hand.

    Nothing is left to decide then: a profile pins only what is published.
    """
    from repo_server.db.session import transaction
    from repo_server.publishing.profiles import (
        load_profile,
        plan_profile,
        render_profile,
        sign_profile,
        subject_of,
    )

    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    name = acting_as(holder, repository, "operator")
    wanted = Pin.parse(pin)
    desk.prepare_proposals(subject_of(wanted))
    with transaction(repository.engine) as session:
        changes = plan_profile(repository, session, wanted, now=clock())
        made = load_profile(repository, session, wanted)
    shown = [made, *what_changes(changes)]
    console.note(f"{render_profile(made)}\n{render_changes(changes)}")
    confirm(f"sign this as {name}?", console, yes=yes)
    signer = open_signer(ctx, repository, name)
    with transaction(repository.engine) as session:
        planned = plan_profile(repository, session, wanted, now=clock())
        check_same(shown, [load_profile(repository, session, wanted), *what_changes(planned)])
        changes = sign_profile(repository, session, wanted, signer, now=clock())
    desk.hand_in_signatures(subject_of(wanted), keyid=signer.public_key.keyid)
    document = standing_document(changes)
    published = False
    if document["complete"]:
        try:
            done = desk.publish(now=clock())
        except KeyAccessError as error:
            console.note(f"not published here: {error}")
        else:
            mine = {"kind": "profile", "name": wanted.name, "version": wanted.version}
            published = mine in done["published"]
    ending = f"published {wanted}" if published else standing_text(changes)
    console.answer(
        {"profile": pin, "published": published, **document}, f"signed by {name}: {wanted}\n{ending}"
    )


@profile.command("drop")
@click.argument("pin", metavar="NAME==VERSION")
@console_option
@click.pass_context
def drop(ctx: click.Context, pin: str, console: Console) -> None:
    """Give up a drafted profile and the signatures on it; a published one stays."""
    open_desk(ctx, console).drop_profile(Pin.parse(pin), now=clock())
    console.answer({"profile": pin, "dropped": True}, f"dropped {pin}")
