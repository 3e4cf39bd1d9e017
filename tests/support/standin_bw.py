"""A scripted `bw`: a small program that behaves as the real one was seen to, and fails in the ways it does.

    bw = StandInBw(folder)
    bw.add_bucket("acme", {"KEY": "secret"})
    bw.says["sync"] = {"status": 1, "err": "Syncing failed: …"}      # what one command says instead
    bw.set(login_without_sync=True)                                  # one of its traps
    bw.calls()                                                       # what it was called with, and with what environment

It keeps its own state beside itself, since nothing but its arguments and the driver's environment reaches it.
Values in a bucket are items as `bw list items` prints them.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

from hive.vault.bw_settings import BwSettings

PASSWORD = "correct horse battery staple"
SECRET = "api-key-secret-9f8e7d"
SESSION = "A" * 86 + "=="
URL = "https://vault.example"

_PROGRAM = r"""#!{python} -IS
import json, os, sys, time
HERE = {here!r}
words = sys.argv[1:]

def load(name):
    with open(HERE + "/" + name) as stream:
        return json.load(stream)

def store():
    with open(HERE + "/state.json.new", "w") as stream:
        json.dump(state, stream)
    os.rename(HERE + "/state.json.new", HERE + "/state.json")

def note(what, **more):
    line = json.dumps({{"what": what, "argv": words, "pid": os.getpid(), **more}}) + "\n"
    descriptor = os.open(HERE + "/calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)

def fail(text):
    note("ended")  # first: whoever started us may be gone, and then there is nobody to write to
    sys.stderr.write("" if "--quiet" in words else text + "\n")
    sys.exit(1)

def say(value=""):
    note("ended")
    sys.stdout.write(value if isinstance(value, str) else json.dumps(value))
    sys.stderr.write('Could not find data file, "/nowhere/data.json"; creating it instead.\n')
    sys.exit(0)

scenario, state = load("scenario.json"), load("state.json")
note("started", env=dict(os.environ), cwd=os.getcwd())
command = words[0]
time.sleep(scenario.get("seconds", {{}}).get(command, 0))
instead = scenario["says"].get(" ".join(words[:2]), scenario["says"].get(command))
if instead is not None:
    note("ended")
    sys.stderr.write("" if "--quiet" in words else instead.get("err", ""))
    sys.stdout.write(instead.get("out", ""))
    sys.exit(instead.get("status", 0))
if command == "--version":
    say(scenario["version"])
if command == "status":
    unlocked = state["account"] and os.environ.get("BW_SESSION") == {session!r}
    status = "unauthenticated" if not state["account"] else "unlocked" if unlocked else "locked"
    server = scenario.get("server_instead", state["server"])
    say({{"serverUrl": server, "lastSync": state["synced"], "userEmail": None, "userId": state["account"], "status": status}})
if command == "config":
    if state["account"]:
        fail("Logout required before server config update.")
    state["server"] = words[2]
    store()
    say("Saved setting `config`.")
if command == "logout":
    if not state["account"]:
        fail("You are not logged in.")
    state.update(account=None, synced=None)
    store()
    say("You have logged out.")
if command == "login":
    if os.environ.get("BW_CLIENTID") != "user." + scenario["account"]:
        fail("client_id is required.")
    if os.environ.get("BW_CLIENTSECRET") != {secret!r}:
        fail("Incorrect client_secret")
    state["account"] = scenario["account"]
    state["synced"] = None if scenario.get("login_without_sync") else scenario["now"]
    store()
    say()
if not state["account"]:
    fail("You are not logged in.")
if command == "unlock":
    if os.environ.get(words[words.index("--passwordenv") + 1]) != {password!r}:
        fail("Cryptography error, The decryption operation failed")
    say("" if state["synced"] is None else {session!r} + "\n")
if os.environ.get("BW_SESSION") != {session!r}:
    fail("Vault is locked.")
if command == "lock":
    say("Your vault is locked.")
if command == "sync":
    if not scenario.get("old_sync"):
        state["synced"] = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())
    store()
    say("Syncing complete.")
if words[:2] == ["list", "collections"]:
    say([{{"object": "collection", "id": i, "organizationId": scenario["organization"], "name": n, "externalId": None}} for i, n in scenario["collections"]])
if words[:2] == ["list", "items"]:
    if state["empty"] < scenario.get("empty_lists", 0):
        state["empty"] += 1
        store()
        say([])
    wanted = words[words.index("--collectionid") + 1]
    say([item for item in scenario["items"] if wanted in item["collectionIds"] or wanted in item.get("listed_for", [])])
fail("unknown command")
"""


class StandInBw:
    """The program in ``folder``/bin, the credentials for it, and what it shall do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._beside = folder / "bin"
        self._beside.mkdir()
        self.program = self._beside / "bw"
        self.account = str(uuid.uuid4())
        self.organization = str(uuid.uuid4())
        self.says: dict[str, dict[str, Any]] = {}
        self.items: list[dict[str, Any]] = []
        self.collections: list[tuple[str, str]] = []
        self._more: dict[str, Any] = {}
        self.version = "2026.6.0"
        self.credentials_file = folder / "vault.toml"
        self.write_credentials()
        self.program.write_text(
            _PROGRAM.format(
                python=sys.executable,
                here=str(self._beside),
                secret=SECRET,
                password=PASSWORD,
                session=SESSION,
            )
        )
        self.program.chmod(0o755)
        self.set_state(server=None, account=None, synced=None)
        self.set()

    def write_credentials(self, **other: str) -> None:
        values = {
            "client_id": f"user.{self.account}",
            "client_secret": SECRET,
            "password": PASSWORD,
            **other,
        }
        self.credentials_file.write_text("".join(f"{key} = {json.dumps(values[key])}\n" for key in values))
        self.credentials_file.chmod(0o600)

    def settings(self, **other: Any) -> BwSettings:
        values: dict[str, Any] = {
            "program": str(self.program),
            "url": URL,
            "organization_id": self.organization,
            "credentials_file": self.credentials_file,
            "folder": self.folder / "state/bw",
        }
        return BwSettings(**{**values, **other})

    # --- what it shall do ------------------------------------------------------------------------

    def set(self, **more: Any) -> None:
        """Write the scenario, with these traps from now on."""
        self._more.update(more)
        scenario = {
            "version": self.version,
            "account": self.account,
            "organization": self.organization,
            "collections": self.collections,
            "items": self.items,
            "says": self.says,
            "now": "2026-01-01T00:00:00.000Z",
            **self._more,
        }
        (self._beside / "scenario.json").write_text(json.dumps(scenario))

    def set_state(self, **state: Any) -> None:
        """Write what it remembers between two commands."""
        values = {"server": URL, "account": self.account, "synced": "2026-01-01T00:00:00.000Z", "empty": 0}
        (self._beside / "state.json").write_text(json.dumps({**values, **state}))

    def add_collection(self, name: str) -> str:
        collection_id = str(uuid.uuid4())
        self.collections.append((collection_id, name))
        self.set()
        return collection_id

    def add_item(self, collection_id: str, name: str, **values: Any) -> dict[str, Any]:
        item = make_item(collection_id, self.organization, name, **values)
        self.items.append(item)
        self.set()
        return item

    def add_bucket(self, tenant: str, secrets: dict[str, str]) -> str:
        """Add a bucket with one login for each secret, and its marker."""
        collection_id = self.add_collection(tenant)
        for name, value in secrets.items():
            self.add_item(collection_id, name, password=value)
        self.add_item(collection_id, ".hive", fields={"tenant_id": tenant, "keys": ",".join(secrets)})
        return collection_id

    # --- what it was asked -----------------------------------------------------------------------

    def calls(self) -> list[dict[str, Any]]:
        """Return every call, with its words, environment, process and working folder."""
        return [entry for entry in self.log() if entry["what"] == "started"]

    def log(self) -> list[dict[str, Any]]:
        path = self._beside / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def commands(self) -> list[str]:
        """Return the first word of every call, two for ``list``."""
        return [" ".join(call["argv"][: 2 if call["argv"][0] == "list" else 1]) for call in self.calls()]

    def forget_calls(self) -> None:
        (self._beside / "calls").unlink(missing_ok=True)


def make_item(collection_id: str, organization: str, name: str, **values: Any) -> dict[str, Any]:
    """Return an item as the client prints it: keys that are null are absent."""
    password, notes, fields = values.get("password"), values.get("notes"), values.get("fields")
    item: dict[str, Any] = {
        "object": "item",
        "id": str(uuid.uuid4()),
        "organizationId": organization,
        "collectionIds": [collection_id],
        "type": values.get("kind", 1 if password is not None else 2),
        "name": name,
        "reprompt": 0,
        "favorite": False,
        "attachments": [],
        "creationDate": "2026-01-01T00:00:00.000Z",
        "revisionDate": "2026-01-01T00:00:00.000Z",
    }
    if password is not None:
        item["login"] = {"username": "service", "password": password, "uris": []}
    if notes is not None:
        item["notes"] = notes
    if fields is not None:
        pairs = fields.items() if isinstance(fields, dict) else fields
        item["fields"] = [{"type": 1, "name": key, "value": value} for key, value in pairs]
    return item
