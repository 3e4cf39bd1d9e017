"""A passphrase comes from a file, a descriptor or a prompt, and goes nowhere else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.session import Desk
from tests.cli.warm import WarmDesk

SECRET = "korrekt-pferd-batterie"


@pytest.fixture
def by_script(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def desk(by_script: Desk) -> Iterator[WarmDesk]:
    with WarmDesk(by_script) as warm:
        yield warm


def test_a_passphrase_from_a_file_or_a_descriptor_opens_the_key_and_shows_nowhere(
    desk: WarmDesk, by_script: Desk
) -> None:
    words = ("skillrepo", "--keys", "k", "--passphrase-file", "words")
    (desk.folder / "words").write_text(SECRET + "\n")
    open_to_all = desk.run(*words, "key", "new", "alice", status=7)
    assert "chmod 600" in open_to_all.stderr
    (desk.folder / "words").chmod(0o600)
    made = desk.json(
        "skillrepo", "--keys", "k", "--passphrase-file", "words", "key", "new", "alice", "--quick"
    )
    key = Path(desk.folder / made["key_file"])
    assert key.stat().st_mode & 0o777 == 0o600
    shown = desk.json("skillrepo", "key", "show", made["public_file"])
    assert shown["keyid"] == made["keyid"]

    reading, writing = os.pipe()
    os.write(writing, (SECRET + "\n").encode())
    os.close(writing)
    try:
        by_script.run(
            *("skillrepo", "--keys", "k", "--passphrase-fd", str(reading), "key", "new", "bob", "--quick"),
            pass_fds=[reading],
        )
    finally:
        os.close(reading)
    pub = {name: f"k/{name}.pub.json" for name in ("alice", "bob")}
    desk.run(
        *(
            "skillrepo",
            "root",
            "new",
            "c",
            "--bins",
            "2",
            "--root-key",
            pub["alice"],
            "--root-threshold",
            "1",
        ),
        *("--curator-key", pub["alice"], "--curator-threshold", "1", "--online-key", pub["bob"]),
        *("--operator-key", pub["alice"], "--operator-threshold", "1"),
    )
    environment = {"SKILLREPO_PASSPHRASE_FILE": "words", "SKILLREPO_KEYS": "k"}
    desk.run("skillrepo", "root", "sign", "c", "--as", "alice", env=environment)

    (desk.folder / "words").write_text("something else\n")
    wrong = desk.json("skillrepo", "root", "sign", "c", "--as", "alice", status=7, env=environment)
    assert wrong["error"]["code"] == "key-not-available"
    unasked = desk.run(
        "skillrepo", "--keys", "k", "root", "sign", "c", "--as", "alice", status=7, given=SECRET
    )
    assert "there is no terminal" in unasked.stderr
    again = desk.json(
        "skillrepo", "--keys", "k", "--passphrase-file", "words", "key", "new", "alice", status=4
    )
    assert again["error"]["code"] == "conflict"
    for answer in desk.transcript:
        assert SECRET not in answer.stdout + answer.stderr + " ".join(answer.words)
    kept = [path for path in desk.folder.rglob("*") if path.is_file() and path.name != "words"]
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)


def test_a_passphrase_is_typed_twice_and_not_shown(by_script: Desk) -> None:
    status, screen = by_script.talk(
        *("skillrepo", "--keys", "k", "key", "new", "alice", "--quick"),
        answers=[("passphrase of alice's key", SECRET), ("Repeat", SECRET)],
    )
    assert status == 0
    assert SECRET not in screen
    assert (by_script.folder / "k/alice.key.json").is_file()


def test_there_is_no_option_for_a_passphrase_itself(by_script: Desk) -> None:
    refused = by_script.run(
        "skillrepo", "--passphrase", SECRET, "--keys", "k", "key", "new", "alice", status=2
    )
    assert SECRET not in refused.stderr
