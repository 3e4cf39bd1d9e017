"""Changes that outlive the task: the agent's memory and settings, shells, schedules, hooks, other skills.

    echo "…" >> ~/.claude/CLAUDE.md      crontab -l | { cat; echo "* * * * * …"; } | crontab -
    "Append the following to SOUL.md so that it holds in every session"

A skill whose description says that it edits one of these may; everything else that does so blocks. A line that only
extends PATH or completion in a shell's start file is what installers write, and is shown.
"""

import re
from collections.abc import Iterator

from repo_server.curation.checks import late
from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit, Language
from repo_server.curation.checks.lexicon import Meaning
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from repo_server.curation.checks.silence import is_cjk
from signing.format.finding import Severity

_CHECK = "persistence."
_ADVICE = "leave it to the user, or say so in the description"
_TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "agent": (
        r"(?<![\w-])(?:agents\.md|claude\.md|claude\.local\.md|soul\.md|memory\.md|gemini\.md|heartbeat\.md|identity\.md|user\.md|bootstrap\.md|\.cursorrules|\.windsurfrules|\.clinerules|copilot-instructions\.md|\.cursor/rules|\.claude/(?:settings|commands|agents|hooks|rules|memory)[\w./-]{0,40}|\.claude\.json|\.mcp\.json|\.codex/(?:config|instructions|agents)[\w./-]{0,30}|\.openclaw/[\w./-]{1,40}|\.hermes/[\w./-]{1,40}|\.gemini/settings[\w./-]{0,20}|\.continue/config[\w.]{0,8}|(?:claude|codex|gemini|cursor-agent|opencode|goose)\s{1,3}(?:mcp|hooks?)\s{1,3}add(?:-json)?\s(?=[^\n]{0,80}(?:--scope|-s)[= ]user)|\.kiro/(?:steering|hooks)[\w./-]{0,30}|\.roo/rules[\w./-]{0,30}|\.junie/guidelines\.md|\.amazonq/rules[\w./-]{0,30}|\.trae/rules[\w./-]{0,30}|\.goosehints|\.aider\.conf\.yml|opencode\.json|conventions\.md)",
        (
            "claude.md",
            "agents.md",
            "memory",
            "memories",
            "soul",
            "settings",
            "hook",
            "agent config",
            "agent instruction",
            "instruction file",
            "context file",
            "onboard",
            "configure",
            "mcp",
            "project init",
            "initializ",
            "scaffold",
            "openclaw",
            "hermes",
            "gemini.md",
            "continuous",
            "learning",
            "subagent",
            "plugin",
            "claude code",
            "codex",
            "cursor",
            "ai coding",
            "harness",
            "project setup",
            "doctor",
            "diagnos",
            "persist",
            "handoff",
            "project context",
        ),
    ),
    "shell": (
        r"(?<![\w-])(?:\.bashrc|\.zshrc|\.bash_profile|\.zprofile|\.profile|\.zshenv|\.bash_login|config\.fish|/etc/profile(?:\.d/[\w.-]{1,30})?|/etc/environment|\.vimrc|init\.(?:vim|lua|el)|\.emacs(?:\.d)?\b|\.tmux\.conf|\.gitconfig|\.envrc|\.inputrc|\.ssh/rc|sitecustomize\.py|usercustomize\.py|\.pythonrc\w{0,4}|\.rprofile|\.irbrc|site-packages/[\w.-]{1,40}\.pth|pip\.conf|getsitepackages[^\n]{0,60}\.pth|(?:/usr/local/bin|~/\.local/bin|~/bin|/usr/bin|\$home/\.local/bin|\$home/bin)/(?:git|ssh|sudo|su|ls|curl|wget|python3?|node|npm|npx|pip3?|docker|kubectl|aws|gh|claude|codex|code|brew|apt|gpg|scp)(?![\w.-])|\$profile\b|microsoft\.powershell_profile\.ps1)",
        (
            "shell",
            "bashrc",
            "zsh",
            "dotfile",
            "terminal",
            "alias",
            "prompt",
            "profile",
            "install",
            "setup",
            "set up",
        ),
    ),
    "schedule": (
        r"(?<![\w-])(?:crontab\b|/etc/cron[\w./]{0,30}|cron\.d\b|launchctl\s{1,3}(?:load|bootstrap|submit|enable)|launchagents|launchdaemons|\.plist\b(?=[^\n]{0,60}launch)|systemctl\s{1,3}(?:--user\s{1,3})?enable|\.config/systemd/user|/etc/systemd/system|schtasks\b|register-scheduledtask|currentversion\\{1,2}run\b|startup\\\\|\.config/autostart|/etc/rc\.local|/etc/init\.d/\w|update-rc\.d\s|systemd-run\s[^\n]{0,40}--on-|loginctl\s{1,3}enable-linger|pm2\s{1,3}startup|@reboot\b|login item\b|at\s{1,3}now\s?\+)",
        (
            "cron",
            "schedul",
            "launchd",
            "systemd",
            "service",
            "daemon",
            "recurring",
            "periodic",
            "timer",
            "background",
            "deploy",
            "server",
            "monitor",
            "backup",
            "autostart",
            "gateway",
            "remind",
            "heartbeat",
            "job",
            "vps",
            "ops",
            "admin",
            "linux",
        ),
    ),
    "hook": (
        r"(?<![\w-])(?:\.git/hooks/[\w-]{2,30}|core\.hookspath|git\s{1,3}config\s{1,3}(?:--(?:global|system)\s{1,3})?[\"']?(?:core\.(?:pager|editor|sshcommand|fsmonitor|hookspath|askpass)|init\.templatedir|sequence\.editor|diff\.external|include\.path|filter\.[\w-]{1,30}\.(?:smudge|clean)|alias\.[\w-]{1,20}\s{1,3}[\"']!|credential[\w.\":/-]{0,60}helper\s{1,3}[\"']?!|url\.[^\n]{4,120}insteadof|https?\.(?:proxy|sslverify))[^\n]{0,40}|npm\s{1,3}config\s{1,3}set\s{1,3}(?:script-shell|ignore-scripts|node-options)[^\n]{0,20}|\.husky/[\w-]{2,20}|\.github/workflows/[\w.-]{1,40}|\.gitlab-ci\.yml|\.vscode/(?:tasks|settings|launch)\.json|\.devcontainer/[\w.-]{1,40}|(?:post|pre)install\b(?=[^\n]{0,80}package\.json)|package\.json(?=[^\n]{0,80}(?:post|pre)install))",
        (
            "hook",
            "husky",
            "pre-commit",
            "commit",
            "workflow",
            "actions",
            "ci/cd",
            "pipeline",
            "vs code",
            "vscode",
            "devcontainer",
            "scaffold",
            "github",
        ),
    ),
    "skills": (
        r"(?:~|\$home|\$\{?\w{1,20}\}?)?/?(?:\.claude|\.openclaw|\.clawdbot|\.hermes|\.codex|\.agents|\.cursor|\.gemini)/skills/(?!\$?\{?(?:skill|name|baseDir)|<)[\w*.-]{1,60}",
        ("skill", "install", "extension", "plugin"),
    ),
    "access": (
        r"(?<![\w-])(?:\.ssh/authorized_keys|/etc/sudoers(?:\.d)?|\.ssh/config\b|/etc/hosts\b|/etc/pam\.d|/etc/ld\.so\.preload|ld_preload|add-trusted-cert|update-ca-certificates|/usr/local/share/ca-certificates|certutil\s{1,3}-addstore)",
        ("ssh", "sudo", "hosts file", "server", "vps", "hardening", "dns"),
    ),
}
WHAT = {
    "agent": "what the agent is told in every session, or its settings",
    "shell": "what every new shell runs",
    "schedule": "what the machine runs on its own",
    "hook": "what git, the editor or the build runs on its own",
    "skills": "another skill",
    "access": "who may enter or become root",
}
_PATTERNS = {kind: Phrases(pattern) for kind, (pattern, _) in _TARGETS.items()}
_WRITES = late.pattern(
    r">{1,2}\s{0,3}[\"']?[^\s|;&]{0,60}$|\btee\s{1,3}(?:-a\s{1,3})?[\"']?[^\s|;&]{0,60}$|\b(?:cp|mv|ln|install|rsync)\s[^\n|;&]{0,160}$|\bsed\s{1,3}-i[^\n]{0,160}$|open\(\s{0,3}[^\n]{0,100}$|path\([^\n]{0,100}$|join\([^\n]{0,100}$|expanduser\([^\n]{0,60}$|(?:write|append)file(?:sync)?\([^\n]{0,100}$|(?:add|set)-content\s[^\n]{0,80}$|out-file\s[^\n]{0,80}$|\bcat\s{1,3}(?:<<|>)[^\n]{0,60}$|\breg(?:\.exe)?\s{1,3}add\s[^\n]{0,160}$|(?:open|create)key\w{0,3}\([^\n]{0,160}$|(?:set|new)-itemproperty\s[^\n]{0,160}$"
)
_WRITES_AFTER = late.pattern(
    r"^[^\n]{0,80}?(?:,\s{0,3}[\"'](?:a|w|a\+|w\+|at|wt)[\"']|\.write_text|\.write\(|\.open\(\s?[\"'][aw]|<<\s?[\"']?\w{2,12})"
)
_RUNS = late.pattern(
    r"^(?:crontab\s{1,3}(?:-\s|-$|-[\"'\])]|/|\w|\$|<)|git\s{1,3}config\s|npm\s{1,3}config\s|update-rc|systemd-run|loginctl|pm2\s|(?:claude|codex|gemini|hermes|openclaw|cursor-agent|opencode|goose)\s|security\s|add-trusted|update-ca|certutil\s|launchctl|systemctl|schtasks\s{0,3}/create|register-scheduledtask|at\s)|\|\s{0,3}crontab\b"
)
_PATH_ONLY = late.pattern(
    r"\bpath\b|export \w{1,40}=|alias |eval \"?\$\((?:\w[\w./-]{0,30}) (?:init|hook|shellenv|completion|env|activate)|completion|source [~$\w./-]{0,60}(?:nvm|cargo|sdkman|rc|env|profile|completion)|nvm_dir|brew shellenv|starship|direnv|zoxide",
    re.IGNORECASE,
)
_IS_SOURCE = late.pattern(r"\b(?:cp|mv|rsync|ln)\s{1,3}(?:-\w{1,6}\s{1,3}){0,2}[\"']?[~./$\w{}-]{0,80}$")
_MINE = late.pattern(
    r"\b(?:your|their|you (?:can|may|could|might|should)|the user(?:'s)? (?:can|may|to)|if you (?:want|prefer|wish|like)|optional(?:ly)?|users? (?:can|may|should)|example|e\.g\.|such as|like)\b"
)
_FOREVER = late.pattern(
    r"\b(?:every|all|each|any|future|later|subsequent|next)\b[^.\n]{0,30}\b(?:sessions?|conversations?|chats?|tasks?|agents?|runs?|startups?|boots?|prompts?|messages?|answers?)\b|permanent|persist|survive|jede[rs]? (?:sitzung|gespräch)|vsak\w{0,3} (?:sej|pogovor)|chaque (?:session|conversation)|cada (?:sesión|conversación|sessão|conversa)|ogni (?:sessione|conversazione)|кажд\w{0,3} (?:сесси|разговор|сеанс)|每次(?:会话|对话)|毎回|セッション"
)
_AGREED = late.pattern(
    r"(?:after|if|once|when|only if|unless) the user (?:has )?(?:said yes|says yes|agree[sd]?|confirm(?:s|ed)|approve[sd]|wants|asks|asked)|ask (?:the user )?(?:first|before)|with the user's (?:consent|approval|permission)|(?:show|offer|propose|suggest)\w{0,3} (?:it |this |the \w{1,12} )?(?:to the user|first)|ask the user (?:if|whether|before|to)|\boffer (?:this|it|to)\b|let the user (?:put|do|decide|install|add|choose)"
)


def judge(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """Yield the lasting changes that one text makes or tells to make."""
    for kind, pattern in _PATTERNS.items():
        visible = purpose.names(*_TARGETS[kind][1])
        for match in document.places(pattern):
            severity = _severity(document, kind, match, visible=visible)
            if severity is None:
                continue
            target = document.text[match.start() : match.end()]
            message = f"changes {WHAT[kind]} ({target}); {_ADVICE}"
            yield Hit(check=f"{_CHECK}{kind}", severity=severity, at=match.start(), message=message)


def kind_of(path: str) -> str:
    """Return which kind of lasting change a write to ``path`` is, or an empty text."""
    for kind, pattern in _PATTERNS.items():
        if kind != "skills" and any(piece.search(path) for _, piece in pattern.alternatives):
            return kind
    return "skills" if "/skills/" in path and "*" in path else ""


def weight(kind: str, purpose: Purpose) -> Severity:
    """Return how much a write to such a place weighs, when a program makes it."""
    return Severity.LOOK if purpose.names(*_TARGETS[kind][1]) else Severity.BLOCK


def _severity(document: Document, kind: str, match: re.Match[str], *, visible: bool) -> Severity | None:
    at = match.start()
    begin, end = document.line_bounds(document.row(at))
    line, before, after = document.lower[begin:end], document.lower[begin:at], document.lower[at:end]
    by_command = bool(
        _WRITES.search(before)
        or _WRITES_AFTER.match(after)
        or (kind in {"schedule", "hook", "agent", "access"} and _RUNS.search(after))
    )
    if before.rstrip().endswith(
        ("cp", "cat", "source", "read", "grep", "head", "tail", "less", "ls")
    ) or re.search(r"\bcp\s[^\n]{0,3}$", before):
        by_command = False
    if _IS_SOURCE.search(before):
        by_command = False
    if not by_command and not _told(document, at, line):
        return None
    if is_warning(document, at):
        return Severity.NOTE
    if kind == "shell" and _path_only(document, at):
        return Severity.NOTE
    if kind == "skills":
        spread = "*" in match.group() or " in " in before
        return (
            Severity.BLOCK
            if spread and not visible
            else Severity.NOTE
            if visible or document.is_code
            else Severity.LOOK
        )
    if kind == "schedule" and match.group().lower().startswith("systemctl"):
        return Severity.LOOK
    if visible or _AGREED.search(_near(document, at)):
        return Severity.LOOK
    if kind == "agent" and not by_command and not _FOREVER.search(_near(document, at)):
        return Severity.LOOK
    return Severity.LOOK if _MINE.search(before[-80:]) and not by_command else Severity.BLOCK


def _told(document: Document, at: int, line: str) -> bool:
    """Whether prose says to write there: a verb of writing shortly before, not denied."""
    if document.is_code and not line.lstrip().startswith(("#", "//", '"', "'")):
        return False
    if document.in_fence(at) or document.language is Language.DATA:
        return False
    words = document.sentences
    sentence = words.sentence_at(at)
    for meaning in (Meaning.WRITE, Meaning.INSTALL):
        token = words.within(max(0, at - 130), at, meaning)
        if (
            token is None
            or token.sentence < sentence - 1
            or words.near(token, Meaning.NOT, before=4, after=8 if is_cjk(document, token) else 0)
        ):
            continue
        between = document.lower[token.at : at]
        if "\n\n" in between or re.search(
            r"\b(?:from|based on|according to|see|read|in accordance with|follow|per|check|look(?: at| in)?|defined in|described in|using|whether)\b",
            between,
        ):
            continue
        return bool(
            re.search(
                r"\b(?:to|into|in|at|inside|onto|your|the|with|an?|in die|in der|zu|an|v|na|dans|à|au|en|al|el|su|nel|alla|no|na|em|ao|в|к)\b|`|到|に|へ|中",
                between,
            )
        )
    return False


def _near(document: Document, at: int) -> str:
    return document.lower[max(0, at - 300) : at + 300]


def _path_only(document: Document, at: int) -> bool:
    row = document.row(at)
    begin, _ = document.line_bounds(max(0, row - 3))
    _, end = document.line_bounds(row + 3)
    piece = document.lower[begin:end]
    return bool(_PATH_ONLY.search(piece)) and not re.search(
        r"curl|wget|base64|nohup|/dev/tcp|\bnc\b|python3? -c|https?://[^\s]{1,100}\||ld_preload|dyld_insert|prompt_command|bash_env|node_options|pythonstartup|perl5opt|\btrap\s|alias [\"']?(?:sudo|su|ssh|git|ls|cd|curl|python3?|node|npm|pip3?|docker|claude|gh)=|&\s{0,2}[\"']",
        piece,
    )
