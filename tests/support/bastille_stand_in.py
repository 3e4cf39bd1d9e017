"""A stand-in for Bastille and the programs beside it, as strict and as careless as the real ones (1.4.4).

    main(MACHINE, PROGRAM, WORDS)

MACHINE is a folder:

    prefix/            Bastille's, with releases and jails
    kernel.json        what runs: {"acme": {"jid": 1, "path": …, "mounts": […]}}
    rules.json         what rctl keeps, by the names of jails, whether they run or not
    rc.json            the rules that held while the tenant's own rc ran: ["start acme", …]
    calls              one JSON line per call: arguments and environment
    misbehave.json     {"create": "nothing"}: how a command goes wrong; see below
    packages/          what pkg was given
    forged/acme        what a program inside the jail answers for its release

Like the real one it exits with 0 or 1 only; wants its prefix to have mode 0750; takes a name that is no jail's for the
beginning of one, and ``all`` for every jail; starts what it creates; makes a list of which no value is escaped, by asking
programs inside the jails; skips a jail that does not run without a word; adds the rules of rctl.conf behind the jail's rc and
drops them before its rc.shutdown; follows links.

Misbehaving, per command: ``nothing`` (says 0), ``fail`` (1), ``late`` (does it and says 1), ``half`` (a part, and 1),
``half-silent`` (a part, and 0), ``hang``, ``flood``, ``garbage``, ``kill`` (half of it, then kills who called), ``kill-slow`` (and does
not end), ``late-kill`` (all of it, then kills), ``deaf`` (rctl: says 0 and changes nothing).
"""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:  # every call of a program pays for what is imported here
    from typing import NoReturn

RELEASE = "14.3-RELEASE"
COMMANDS = {"create", "start", "stop", "restart", "destroy", "list"}
FORBIDDEN = {
    "limits",
    "cp",
    "rcp",
    "cmd",
    "pkg",
    "template",
    "update",
    "upgrade",
    "mount",
    "umount",
    "rename",
    "tags",
}


def fail(text: str) -> "NoReturn":
    print(f"[ERROR]: {text}")
    sys.exit(1)


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder, self.prefix = folder, folder / "prefix"
        self.jails = self.prefix / "jails"

    def note(self, program: str, words: list[str]) -> None:
        with (self.folder / "calls").open("a") as calls:
            calls.write(json.dumps({"words": [program, *words], "environment": dict(os.environ)}) + "\n")

    def kernel(self) -> dict:
        file = self.folder / "kernel.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def keep(self, kernel: dict) -> None:
        (self.folder / "kernel.json").write_text(json.dumps(kernel))

    def rules(self) -> list[str]:
        file = self.folder / "rules.json"
        return json.loads(file.read_text()) if file.exists() else []

    def add_rule(self, rule: str) -> None:
        """As the kernel does (kern_rctl.c): one of these amounts for one thing, and no ``/jail`` behind it."""
        match = re.fullmatch(r"(jail:[^:]+:[a-z]+:deny)=([0-9]+)(?:/jail)?", rule)
        if match is None:
            fail(f"rctl: invalid rule {rule}")
        kept = [line for line in self.rules() if line.partition("=")[0] != match[1]]
        (self.folder / "rules.json").write_text(json.dumps([*kept, f"{match[1]}={match[2]}"]))

    def drop_rules(self, wanted: str) -> bool:
        wanted = wanted.removesuffix("/jail")
        kept = [
            line
            for line in self.rules()
            if line != wanted and not line.startswith((f"{wanted}:", f"{wanted}="))
        ]
        changed = len(kept) != len(self.rules())
        (self.folder / "rules.json").write_text(json.dumps(kept))
        return changed

    def run_rc(self, which: str, name: str) -> None:
        file = self.folder / "rc.json"
        ran = json.loads(file.read_text()) if file.exists() else []
        held = [rule for rule in self.rules() if rule.startswith(f"jail:{name}:")]
        file.write_text(json.dumps([*ran, [f"{which} {name}", *held]]))

    def how(self, command: str) -> str:
        file = self.folder / "misbehave.json"
        return json.loads(file.read_text()).get(command, "") if file.exists() else ""

    # --- lib/target.sh --------------------------------------------------------------------------------------

    def listed(self) -> list[str]:
        found = sorted(self.jails.iterdir()) if self.jails.is_dir() else []
        return [path.name for path in found if (path / "jail.conf").is_file()]

    def target(self, text: str) -> list[str]:
        if text.lower() == "all":
            return self.listed()
        if text in self.listed():
            return [text]
        guessed = [name for name in self.listed() if re.match(text, name)]
        if len(guessed) != 1:
            fail(f"Jail not found: {text}" if not guessed else f"Multiple jails found for {text}")
        return guessed

    # --- commands -------------------------------------------------------------------------------------------

    def checked(self, words: list[str]) -> tuple[str, str, bool]:
        """Check the words of a create as the real one does; return name, release, and whether --no-boot is among them."""
        options, operands = [], list(words)
        while operands and operands[0].startswith("-"):
            option = operands.pop(0)
            if option not in {"--no-boot", "-V", "-B", "-T", "-C", "-P", "--no-validate"}:
                fail(f'Unknown Option: "{option}"')
            options.append(option)
        if len(operands) not in {3, 4}:
            fail("Usage: bastille create [option(s)] NAME RELEASE IP [INTERFACE]")
        name, release, address = operands[:3]
        if name in self.listed():
            fail(f"Jail already exists: {name}")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name.isdigit():
            fail("Jail names may not contain special characters!")
        if not (self.prefix / "releases" / release).is_dir():
            fail("Release must be bootstrapped first.")
        vnet = bool({"-V", "-B"} & set(options))
        if address == "DHCP" and not vnet:
            fail("Unsupported IP option for non-VNET jail: DHCP")
        if vnet and len(operands) != 4:
            fail("Network interface not set.")
        if address not in {"DHCP", "inherit"} and not re.fullmatch(r"[0-9a-f.:]+(/[0-9]+)?", address):
            fail(f"Invalid: ({address}).")
        return name, release, "--no-boot" in options

    def do_create(self, words: list[str], how: str) -> None:
        name, release, no_boot = self.checked(words)
        folder, root = self.jails / name, self.jails / name / "root"
        for part in (".bastille", ".template", "usr/local", "dev", "etc", "var/db", "tmp", "root", "home"):
            (root / part).mkdir(parents=True, exist_ok=True)
        self.half("create", how)
        (folder / "fstab").write_text(f"{self.prefix}/releases/{release} {root}/.bastille nullfs ro 0 0\n")
        (folder / "jail.conf").write_text(f"{name} {{\n  path = {root};\n  enforce_statfs = 2;\n}}\n")
        for link in ("bin", "lib", "usr/bin"):
            (root / link).symlink_to(f"/.bastille/{link}")
        folder.chmod(0o700)
        boot = "off" if no_boot else "on"
        (folder / "settings.conf").write_text(f'boot="{boot}"\ndepend=""\npriority="99"\n')
        # Whatever --no-boot says: it is started for the template, and restarted after it.
        for _ in range(2):
            self.start_one(name)
            if _ == 0:
                self.stop_one(name)
        if how == "late-kill":
            os.kill(os.getppid(), signal.SIGKILL)

    def do_start(self, words: list[str], how: str) -> None:
        if len(words) != 1:
            fail("Usage: bastille start [option(s)] TARGET")
        for name in self.target(words[0]):
            self.half("start", how)
            self.start_one(name)

    def start_one(self, name: str) -> None:
        kernel = self.kernel()
        if name in kernel:
            print("Jail is already running.")
            return
        folder = self.jails / name
        mounts = []
        for line in (folder / "fstab").read_text().splitlines() if (folder / "fstab").exists() else []:
            source, target, *_ = line.split()
            kinds = {Path(path).is_dir() if Path(path).exists() else None for path in (source, target)}
            if None in kinds or len(kinds) > 1:  # a folder over a folder, a file over a file
                fail(f"mount: {target}: No such file or directory")
            mounts.append([source, os.path.realpath(target)])  # as mount(8) would, through every link
        kernel[name] = {
            "jid": max([jail["jid"] for jail in kernel.values()], default=0) + 1,
            "path": str(folder / "root"),
            "mounts": mounts,
        }
        self.keep(kernel)
        self.run_rc("start", name)
        if not (self.folder / "no-racct").exists():
            for rule in self.written_rules(name):
                self.add_rule(rule)
        print(f"[{name}]:\n{name}: created")

    def do_stop(self, words: list[str], how: str) -> None:
        if len(words) != 1:
            fail("Usage: bastille stop [option(s)] TARGET")
        for name in self.target(words[0]):
            self.half("stop", how)
            self.stop_one(name)

    def written_rules(self, name: str) -> list[str]:
        rules = self.jails / name / "rctl.conf"
        return rules.read_text().splitlines() if rules.exists() else []

    def stop_one(self, name: str) -> None:
        kernel = self.kernel()
        if name not in kernel:
            print("Jail is not running.")
            return
        for rule in self.written_rules(name):
            self.drop_rules(rule)
        self.run_rc("stop", name)
        del kernel[name]
        self.keep(kernel)

    def do_destroy(self, words: list[str], how: str) -> None:
        import shutil

        operands = [word for word in words if not word.startswith("-")]
        options = {word for word in words if word.startswith("-")}
        if not options <= {"-a", "-f", "-y", "-c"} or len(operands) != 1:
            fail("Usage: bastille destroy [option(s)] [JAIL|RELEASE]")
        if operands[0] in {"current", "Debian12"} or operands[0].endswith("-RELEASE"):
            shutil.rmtree(self.prefix / "releases" / operands[0], ignore_errors=True)
            return
        if "-y" not in options and input("Are you sure you want to continue? [y|n]: ") != "y":
            fail("Cancelled")
        for name in self.target(operands[0]):
            if name in self.kernel():
                if "-a" not in options:
                    print("Jail is running.")
                    continue
                self.stop_one(name)
            folder = self.jails / name
            if how in {"half", "half-silent", "kill"}:
                (folder / "jail.conf").unlink()
                (folder / "birth").unlink(missing_ok=True)
                shutil.rmtree(folder / "root/etc", ignore_errors=True)
            self.half("destroy", how)
            shutil.rmtree(folder)

    def do_list(self, words: list[str], how: str) -> None:
        if words != ["-j"]:
            fail("Usage: bastille list")
        kernel, shown = self.kernel(), []
        for name in self.listed():
            forged = self.folder / "forged" / name
            values = {
                "JID": str(kernel[name]["jid"]) if name in kernel else "-",
                "NAME": name,
                "BOOT": "off",
                "PRIO": "99",
                "STATE": "Up" if name in kernel else "Down",
                "TYPE": "thin",
                "IP ADDRESS": "10.17.89.2",
                "PORTS": "-",
                "RELEASE": forged.read_text() if name in kernel and forged.exists() else RELEASE,
                "TAGS": "-",
            }
            shown.append("{" + ",".join(f'"{key}":"{value}"' for key, value in values.items()) + "}")
        print("[" + ",".join(shown) + "]")

    def half(self, command: str, how: str) -> None:
        """Stop here, when the half is all that is to be done."""
        if how in {"kill", "kill-slow"}:
            os.kill(os.getppid(), signal.SIGKILL)
        if how == "kill-slow":
            time.sleep(600)
        if how in {"half", "half-silent", "kill"}:
            print("Interrupted")
            sys.exit(how == "half")

    # --- programs -------------------------------------------------------------------------------------------

    def bastille(self, words: list[str]) -> int:
        if oct(self.prefix.stat().st_mode) != "0o40750":
            fail("Bastille directory permissions should be 0750")
        if not words or words[0] in FORBIDDEN or words[0] not in COMMANDS:
            (self.folder / "forbidden").write_text(json.dumps(words))
            fail("Usage: bastille [option(s)] command")
        command, rest = words[0], words[1:]
        how = self.how(command)
        if misbehaved(how):
            return how == "fail"
        getattr(self, f"do_{command}")(rest, how)
        return how == "late"

    def jls(self, words: list[str]) -> int:
        how = self.how("jls")
        if misbehaved(how):
            return how == "fail"
        if words[:2] != ["--libxo", "json"]:
            fail("usage: jls")
        rest, kernel = words[2:], self.kernel()
        if rest[:1] == ["-j"]:
            if rest[1] not in kernel:
                print(f'jls: jail "{rest[1]}" not found')
                return 1
            kernel, rest = {rest[1]: kernel[rest[1]]}, rest[2:]
        every = [{"jid": jail["jid"], "name": name, "path": jail["path"]} for name, jail in kernel.items()]
        chosen = [{key: jail[key] for key in rest} for jail in every]
        print(json.dumps({"__version": "2", "jail-information": {"jail": chosen} if chosen else {}}))
        return 0

    def jail(self, words: list[str]) -> int:
        """Remove a jail with all that runs in it; its configuration, and so its mounts, are not looked at."""
        how = self.how("jail")
        if misbehaved(how):
            return how == "fail"
        kernel = self.kernel()
        if words[:1] != ["-R"] or len(words) != 2 or words[1] not in kernel:
            fail(f"jail: not expected: {words}")
        del kernel[words[1]]
        self.keep(kernel)
        return 0

    def jexec(self, words: list[str]) -> int:
        if words[:3] != ["-l", "-U", "root"] or words[3] not in self.kernel():
            fail("jexec: jail not found")
        if words[4:] != ["/usr/bin/env", "REPOS_DIR=/var/empty", "/usr/local/sbin/pkg", "add", "-"]:
            fail(f"not expected in a jail: {words[4:]}")
        return self.add(words[3])

    def mount(self, words: list[str]) -> int:
        how = self.how("mount")
        if misbehaved(how):
            return how == "fail"
        if words != ["-p"]:
            fail(f"mount: not expected: {words}")
        # What a jail's start mounted is only noted down; what a test mounted is the machine's.
        table = Path("/proc/self/mounts")
        print("/dev/gpt/root / ufs rw 1 1")
        print(table.read_text() if table.exists() else "", end="")
        return 0

    def rctl(self, words: list[str]) -> int:
        how = self.how("rctl")
        if misbehaved(how):
            return how == "fail"
        if (self.folder / "no-racct").exists():
            fail("rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable")
        if words[:1] == ["-a"] and len(words) == 2:
            if how != "deaf":
                self.add_rule(words[1])
            return 0
        if words[:1] == ["-r"] and len(words) == 2:
            if how == "deaf":
                return 0
            if not self.drop_rules(words[1]):
                fail("rctl: failed to remove rule: No such process")
            return 0
        if len(words) != 1 or not re.fullmatch(r"jail:[a-z][a-z0-9]*", words[0]):
            fail(f"rctl: not expected: {words}")
        for rule in self.rules():
            if rule.startswith(f"{words[0]}:"):
                print(rule)
        return 0

    def pkg(self, words: list[str]) -> int:
        if words[:1] != ["-j"] or words[2:] != ["add", "-"] or words[1] not in self.kernel():
            fail(f"pkg: not expected: {words}")
        return self.add(words[1])

    def add(self, jail: str) -> int:
        data = sys.stdin.buffer.read()
        folder = self.folder / "packages" / jail
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(len(list(folder.iterdir())))).write_bytes(data)
        return 0


def misbehaved(how: str) -> bool:
    match how:
        case "hang":
            time.sleep(600)
        case "flood":
            while True:
                print("x" * 4096)
        case "garbage":
            print('[{"NAME":"acme","STATE":"Up"')
        case "fail":
            print("[ERROR]: it did not work")
        case "nothing":
            pass
        case _:
            return False
    return True


def main(folder: str, program: str, words: list[str]) -> "NoReturn":
    machine = Machine(Path(folder))
    machine.note(program, words)
    sys.exit(getattr(machine, program)(words))
