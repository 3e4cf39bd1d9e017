import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from repo_server.curation.limits import Limits
from repo_server.curation.sources.git import _CONFIG, _environment, _said
from repo_server.curation.sources.process import Outcome
from signing.errors import FormatError, HostError, NotFoundError, TransportError
from signing.format.manifest import Mode
from tests.repo_server.curation.material import SKILL_MD, fetched


@pytest.fixture(autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of our own, to see that nothing is left in it."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "skills" / "x" / "scripts").mkdir(parents=True)
    (folder / "skills" / "x" / "SKILL.md").write_bytes(SKILL_MD)
    (folder / "skills" / "x" / "scripts" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "skills" / "x" / "scripts" / "run.sh").chmod(0o755)
    run(folder, "init", "--quiet")
    return folder


def run(folder: Path, *words: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "a@example.invalid"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    return subprocess.run(
        ["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--message=m")
    return run(folder, "rev-parse", "HEAD")


def test_one_folder_of_one_commit(repository: Path, scratch: Path) -> None:
    first = commit(repository)
    (repository / "skills" / "x" / "SKILL.md").write_bytes(b"later")
    later = commit(repository)
    for url in (str(repository), repository.as_uri()):
        result = fetched(f"git+{url}@{first}#skills/x")
        assert result.tree.skill_md == SKILL_MD
        assert result.tree.files["scripts/run.sh"].mode is Mode.EXECUTABLE  # type: ignore[index]
        assert result.resolved["commit"] == first
        assert result.resolved["tree"] == run(repository, "rev-parse", f"{first}:skills/x")
    assert fetched(f"git+{repository}@{later}#skills/x").tree.skill_md == b"later"
    assert list(scratch.iterdir()) == []


def test_no_hook_filter_or_attribute_runs(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hook = f"#!/bin/sh\ntouch {ran}\n"
    for name in ("post-checkout", "post-merge", "reference-transaction", "pre-auto-gc"):
        path = repository / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(hook)
        path.chmod(0o755)
    (repository / "skills" / "x" / ".gitattributes").write_text(
        "* text eol=crlf filter=evil\nsecret.md export-ignore\n"
    )
    (repository / "skills" / "x" / "secret.md").write_text("seen\n")
    head = commit(repository)
    ran.unlink(missing_ok=True)
    run(repository, "config", "filter.evil.smudge", f"touch {ran}")
    run(repository, "config", "filter.evil.clean", f"touch {ran}")
    run(repository, "config", "core.fsmonitor", f"touch {ran}")
    run(repository, "config", "uploadpack.packObjectsHook", f"touch {ran}")
    result = fetched(f"git+{repository}@{head}#skills/x")
    assert result.tree.skill_md == SKILL_MD
    assert "secret.md" in result.tree.files
    assert not ran.exists()


def test_links_are_refused(repository: Path, scratch: Path) -> None:
    (repository / "skills" / "x" / "link.md").symlink_to("/etc/passwd")
    with pytest.raises(FormatError, match="symbolic link") as caught:
        fetched(f"git+{repository}@{commit(repository)}#skills/x")
    assert "link.md" in caught.value.where
    assert list(scratch.iterdir()) == []


def test_submodules_are_refused(repository: Path) -> None:
    head = commit(repository)
    run(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},skills/x/sub")
    run(repository, "commit", "--quiet", "--message=m")
    with pytest.raises(FormatError, match="submodule"):
        fetched(f"git+{repository}@{run(repository, 'rev-parse', 'HEAD')}#skills/x")


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch%20ran", "--upload-pack=touch ran", "--upload-pack=touch", "ext::touch"]
)
def test_urls_that_run_something_are_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError):
        fetched(f"git+{url}@{'0' * 40}")
    assert list(tmp_path.iterdir()) == []


def test_a_short_commit_or_a_branch_is_refused(repository: Path) -> None:
    head = commit(repository)
    for name in (head[:12], "main", "HEAD"):
        with pytest.raises(FormatError, match="full commit"):
            fetched(f"git+{repository}@{name}")


def test_what_is_not_there(repository: Path, tmp_path: Path) -> None:
    head = commit(repository)
    with pytest.raises(NotFoundError, match="no commit"):
        fetched(f"git+{repository}@{'1' * 40}")
    with pytest.raises(NotFoundError, match="no folder"):
        fetched(f"git+{repository}@{head}#skills/y")
    with pytest.raises(NotFoundError, match="no git repository"):
        fetched(f"git+{tmp_path}/none@{head}")
    with pytest.raises(FormatError, match="is a file"):
        fetched(f"git+{repository}@{head}#skills/x/SKILL.md")
    with pytest.raises(TransportError):
        fetched(f"git+https://127.0.0.1:1/r@{head}")


def test_a_tree_or_blob_id_is_no_commit(repository: Path) -> None:
    commit(repository)
    for name in ("HEAD^{tree}", "HEAD:skills/x/SKILL.md"):
        with pytest.raises((FormatError, NotFoundError, TransportError)):
            fetched(f"git+{repository}@{run(repository, 'rev-parse', name)}")


def test_sizes_are_checked_before_content_is_read(repository: Path) -> None:
    (repository / "skills" / "x" / "big.bin").write_bytes(os.urandom(100_000))
    address = f"git+{repository}@{commit(repository)}#skills/x"
    for limits in (Limits(max_file_bytes=90_000), Limits(max_total_bytes=95_000), Limits(max_files=2)):
        with pytest.raises(FormatError):
            fetched(address, limits=limits)


def test_a_stalling_git_is_killed_with_all_that_it_started(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nsleep 77 &\necho $! > {tmp_path}/child\nwait\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"not finished after 0\.5 seconds"):
        fetched(f"git+{tmp_path}@{'0' * 40}", limits=Limits(seconds=0.5))
    assert time.monotonic() - started < 40  # of the 77 that it wanted
    child = int((tmp_path / "child").read_text())
    assert _gone(child)
    assert list(scratch.iterdir()) == []


def test_a_flood_is_stopped(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec yes\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(FormatError, match="far larger"):
        fetched(f"git+{tmp_path}@{'0' * 40}")
    assert list(scratch.iterdir()) == []


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="cannot start git"):
        fetched(f"git+{tmp_path}@{'0' * 40}")


def test_nothing_is_inherited_and_nothing_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "touch ran")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("https_proxy", "http://proxy.invalid")
    environment = _environment(tmp_path, local=False)
    assert environment["GIT_ALLOW_PROTOCOL"] == "https:ssh"
    assert environment["GIT_SSH_COMMAND"].startswith("ssh ")
    assert not {"GIT_CONFIG_COUNT", "https_proxy"} & set(environment)
    said = _said(Outcome(status=1, output=b"", errors="fatal: 'https://me:s3cret@h.example/r'\x1b[2K\n"))
    assert "s3cret" not in said
    assert "\x1b" not in said


def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.is_file() and stat.read_text().split()[2] == "Z":  # dead; nobody has collected it yet
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("tip", [True, False], ids=["tip of a tag", "in the history"])
def test_a_server_that_gives_no_commit_by_its_id(
    repository: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, tip: bool
) -> None:
    first = commit(repository)
    if tip:
        run(repository, "tag", "v1")
    (repository / "skills" / "x" / "SKILL.md").write_bytes(b"later")
    commit(repository)
    # The first protocol: a server names its branches and tags, and gives nothing else.
    monkeypatch.setattr("repo_server.curation.sources.git._CONFIG", (*_CONFIG, "protocol.version=0"))
    result = fetched(f"git+{repository.as_uri()}@{first}#skills/x")
    assert result.tree.skill_md == SKILL_MD
    assert result.resolved["commit"] == first
    assert list(scratch.iterdir()) == []


def test_a_commit_that_nothing_leads_to_is_not_there(
    repository: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository)
    (repository / "skills" / "x" / "SKILL.md").write_bytes(b"gone")
    gone = commit(repository)
    run(repository, "reset", "--quiet", "--hard", "HEAD~1")
    monkeypatch.setattr("repo_server.curation.sources.git._CONFIG", (*_CONFIG, "protocol.version=0"))
    with pytest.raises(NotFoundError, match="no branch and no tag leads to it"):
        fetched(f"git+{repository.as_uri()}@{gone}#skills/x")
    assert list(scratch.iterdir()) == []
