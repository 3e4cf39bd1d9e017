"""Pages to render: a realistic one, and one in which everything that a stranger may choose is a payload."""

from datetime import UTC, datetime
from typing import Any

from repo_server.curation.rendering import ReviewPage
from repo_server.curation.tree import SourceTree
from signing.format.digest import sha256_of
from signing.format.finding import EngineReport, Finding, Severity
from signing.format.manifest import Kind
from signing.format.names import HolderName, Pin, ReleaseVersion
from signing.format.review import Candidate, Decision, Review, Waiver
from signing.format.surface import Surface, compare_surfaces

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2027, 2, 1, 0, 0, 0, tzinfo=UTC)
_NAMEABLE = str.maketrans({"/": "|", ":": ";", "\\": "|"})
CANDIDATE = "3f9c21ab04de77c1"
SKILL = "---\nname: notes\ndescription: Tidies notes.\nlicense: MIT\n---\n\n# Notes\n\n1. List decisions.\n"


def tree(files: dict[str, str | bytes]) -> SourceTree:
    return SourceTree.of(
        (path, content if isinstance(content, bytes) else content.encode(), path.startswith("scripts/"))
        for path, content in files.items()
    )


def finding(check: str = "hosts.listed", **facts: Any) -> Finding:
    values: dict[str, Any] = {
        "severity": Severity.NOTE,
        "path": "SKILL.md",
        "line": 8,
        "message": "names a host",
        "excerpt": "",
    }
    return Finding(check=check, **(values | facts))


def report(*findings: Finding, name: str = "skillrepo-checks", failure: str = "") -> EngineReport:
    return EngineReport(
        name=name, version="3", policy_sha256=sha256_of(b"policy"), findings=findings, failure=failure
    )


def page(**facts: Any) -> ReviewPage:
    """A page about a small harmless update, with ``facts`` instead."""
    new = facts.get("new") or tree({"SKILL.md": SKILL + "2. Keep it short.\n"})
    old_surface, surface = Surface(file_types=("md",)), facts.pop("surface", Surface(file_types=("md",)))
    values: dict[str, Any] = {
        "name": "notes",
        "version": "1.1.0",
        "candidate": CANDIDATE,
        "state": "staged",
        "kind": "skill",
        "provenance": provenance(new),
        "engines": (report(),),
        "surface": surface,
        "changes": compare_surfaces(old_surface, surface),
        "previous": ReleaseVersion("1.0.0"),
        "old": tree({"SKILL.md": SKILL}),
        "new": new,
        "now": NOW,
    }
    return ReviewPage(**(values | facts))


def provenance(new: SourceTree, **facts: Any) -> Candidate:
    values: dict[str, Any] = {
        "source": "clawhub",
        "address": "clawhub:@quiet-desk/notes@1.1.0",
        "resolved": {"version": "1.1.0"},
        "publisher": "@quiet-desk",
        "licence": "MIT",
        "imported_at": NOW,
        "tree_sha256": new.digest,
    }
    return Candidate(**(values | facts))


def review(of: ReviewPage, *waivers: Waiver, reason: str = "read twice") -> Review:
    """An approval of ``of``, with ``waivers``."""
    return Review(
        pin=Pin.parse(f"{of.name}=={of.version}"),
        bundle_sha256=of.new.to_bundle(
            Pin.parse(f"{of.name}=={of.version}"), Kind.SKILL
        ).manifest.tree_digest,
        tree_sha256=of.new.digest,
        candidate=of.provenance,
        engines=of.engines,
        surface=of.surface,
        previous=of.previous,
        waivers=waivers,
        decision=Decision.APPROVE,
        reason=reason,
        reviewer=HolderName("alice"),
        reviewed_at=NOW,
    )


def waiver(of: Finding, *, reason: str = "an example, never run", until: datetime = LATER) -> Waiver:
    return Waiver(finding=of.id, reason=reason, by=HolderName("alice"), until=until)


def payloads(server: str) -> list[str]:
    """What a stranger may write in the hope that a browser obeys; each would call ``server`` or a canary."""
    return [
        f"<script>window.canary=1;document.title='owned';fetch('{server}/script')</script>",
        f"<img src={server}/img onerror=\"window.canary=1;alert('img')\">",
        f'"><svg/onload="window.canary=1;fetch(\'{server}/svg\')">',
        f"' onmouseover='window.canary=1' autofocus onfocus='fetch(`{server}/focus`)' x='",
        f"[a link](javascript:window.canary=1) ![image]({server}/markdown.png)",
        f"</style><style>*{{background:url({server}/css)!important}}</style>",
        f"</code></td></table></details><iframe src={server}/frame></iframe>",
        f'<meta http-equiv=refresh content="0;url={server}/refresh"><base href={server}/base/>',
        f"<link rel=stylesheet href={server}/sheet><link rel=prefetch href={server}/prefetch>",
        f"<form action={server}/form method=post><input name=a autofocus><button>send</button></form>",
        f"<object data={server}/object></object><embed src={server}/embed><video src={server}/video autoplay>",
        "data:text/html,<script>alert('data')</script>",
        "{{ ''.__class__ }} {% raw %} ${window.canary=1} #{7*7} <%= 7*7 %>",
        "</title></head><!-- --><![CDATA[ ]]> &lt;already&gt; &#60;b&#62; <plaintext><textarea><noscript>",
        "a\u202eb\u2066c\u2069 d\u200be\ufefff\U000e0041 g\u0000h\u001b[2Ji\u2028j",
    ]


def hostile_page(server: str) -> ReviewPage:
    """A page in which every text that comes from outside is a payload, file names included."""
    bad = payloads(server)
    everything = "\n".join(bad)
    # As far as the format of bundles takes them as names of files.
    names = [f"references/{text[:80].translate(_NAMEABLE)}.md" for text in bad[:-1]]
    old = tree({"SKILL.md": SKILL, "gone.md": everything, "same.md": everything})
    new = tree(
        {
            "SKILL.md": SKILL + everything + "\n" + "<b>" * 30_000,
            "same.md": everything,
            "scripts/run.sh": everything.encode() + b"\xff\x00\xfe",
            **dict.fromkeys(names, everything),
        }
    )
    findings = [
        finding(
            f"engine.x.{text[:60]}" if index % 2 else "hosts.listed",
            severity=list(Severity)[index % 3],
            message=text,
            excerpt=text,
            path=[*names, "SKILL.md", text][index % (len(names) + 2)],
            line=index,
        )
        for index, text in enumerate(bad)
    ]
    surface = Surface(**{kind: tuple(sorted(bad)) for kind in Surface.kinds()})
    base = page(
        new=new,
        old=old,
        surface=surface,
        engines=(report(*findings), report(name=bad[0][:100], failure=everything[:1_500])),
        provenance=provenance(
            new,
            source=bad[0][:90],
            address=everything[:1_500],
            publisher=bad[1],
            licence=bad[2],
            resolved={text: text for text in bad},
        ),
    )
    waived = waiver(findings[0], reason=everything[:1_000])
    return page(
        **{key: getattr(base, key) for key in ("new", "old", "surface", "engines", "provenance")},
        reviews=(review(base, waived, reason=everything[:1_000]),),
        earlier_waivers=tuple(waiver(item, reason=bad[3]) for item in findings),
    )
