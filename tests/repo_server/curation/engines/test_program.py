"""An engine may do what it wants: what comes of it is a report, and nothing else comes of it."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from repo_server.curation.engines.confinement import Confinement, best_confinement, interpreter_paths
from repo_server.curation.engines.engine import EngineLimits
from repo_server.curation.engines.program import ProgramEngine
from repo_server.curation.tree import SourceTree
from signing.format.digest import sha256_of
from signing.format.finding import EngineReport, Severity
from tests.repo_server.curation.rendering.conftest import Listener, listener  # noqa: F401 - a fixture

FAKE = Path(__file__).with_name("fake_engine.py")
LIMITS = EngineLimits(seconds=20, memory_bytes=1 << 30, output_bytes=1 << 20, disk_bytes=20 << 20)
TREE = SourceTree.of(
    [("SKILL.md", b"---\nname: x\n---\nbody\n", False), ("scripts/run.sh", b"#!/bin/sh\n", True)]
)
NETWORK_CUT = [Confinement.BUBBLEWRAP, Confinement.NAMESPACES]


@pytest.fixture(autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of our own, to see that nothing is left in it."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def engine(
    mode: str,
    argument: str = "",
    *,
    within: Confinement = Confinement.NOTHING,
    readable: tuple[Path, ...] = (),
) -> ProgramEngine:
    if within is Confinement.BUBBLEWRAP and best_confinement() is not within:
        pytest.skip("needs bubblewrap, and namespaces permitted: apt-get install bubblewrap")
    if within is Confinement.NAMESPACES and best_confinement() is Confinement.NOTHING:
        pytest.skip("needs unshare (util-linux), and namespaces permitted")
    return ProgramEngine(
        name="fake",
        version="1.0",
        policy_sha256=sha256_of(b"policy"),
        argv=(sys.executable, "-I", str(FAKE), mode, argument),
        readable=(*interpreter_paths(Path(sys.executable)), FAKE, *readable),
        confinement=within,
    )


def check_failed(report: EngineReport, words: str) -> None:
    """A failure is in the report, and is a finding that somebody must look at."""
    assert words in report.failure
    [finding] = [f for f in report.findings if f.check == "engine.fake.failed"]
    assert finding.severity is Severity.LOOK
    assert report.failure in finding.message
    assert (report.name, report.version) == ("fake", "1.0")
    assert EngineReport.from_json(json.loads(json.dumps(report.to_json())), "report") == report


def told(report: EngineReport) -> Any:
    assert report.failure == ""
    [finding] = [f for f in report.findings if f.check == "engine.fake.SOME_RULE"]
    return json.loads(finding.message)


@pytest.mark.parametrize("within", list(Confinement), ids=str)
def test_what_it_finds_is_reported_without_this_machines_paths(within: Confinement, scratch: Path) -> None:
    report = engine("finds", within=within).run(TREE, limits=LIMITS)
    assert report.failure == ""
    found = next(f for f in report.findings if f.check == "engine.fake.SOME_RULE")
    assert (found.severity, found.path, found.line) == (Severity.BLOCK, "SKILL.md", 3)
    assert found.message == "in SKILL.md and"
    assert str(scratch) not in json.dumps(report.to_json())
    assert list(scratch.iterdir()) == []


def test_the_same_tree_gives_the_same_report() -> None:
    assert engine("finds").run(TREE, limits=LIMITS) == engine("finds").run(TREE, limits=LIMITS)


def test_several_trees_in_one_process() -> None:
    other = SourceTree.of([("SKILL.md", b"other", False)])
    first, second = engine("finds").run_all([TREE, other], limits=LIMITS)
    assert [f.check for f in first.findings if f.severity is Severity.BLOCK] == ["engine.fake.SOME_RULE"]
    assert first == second
    for report in engine("crashes").run_all([TREE, other], limits=LIMITS):
        check_failed(report, "ended with 3")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("crashes", "ended with 3: SKILL.md: <U+001B>[31mboom"),
        ("dies", "was killed by signal 11"),
        ("babbles", "printed more than 1048576 bytes"),
        ("fills", "wrote more than"),
        pytest.param("litters", "wrote more than", marks=pytest.mark.slow),
        ("devours", "ended with 1: MemoryError"),
        pytest.param("digs", "wrote more than", marks=pytest.mark.slow),
        ("points", "answered 0 times about 1 skill"),
        ("silent", "answered 0 times about 1 skill"),
    ],
)
@pytest.mark.parametrize("within", list(Confinement), ids=str)
def test_whatever_goes_wrong_is_in_the_report(
    mode: str, words: str, within: Confinement, scratch: Path
) -> None:
    check_failed(engine(mode, within=within).run(TREE, limits=LIMITS), words)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("within", list(Confinement), ids=str)
def test_it_may_not_take_longer_than_it_may(within: Confinement, scratch: Path) -> None:
    begun = time.monotonic()
    report = engine("hangs", within=within).run(TREE, limits=EngineLimits(seconds=1))
    assert time.monotonic() - begun < 10
    check_failed(report, "not finished after 1 seconds")
    assert list(scratch.iterdir()) == []


def test_a_program_that_is_not_there() -> None:
    missing = ProgramEngine(
        name="fake", version="1.0", policy_sha256=sha256_of(b""), argv=("/nowhere/engine",), readable=()
    )
    check_failed(missing.run(TREE, limits=LIMITS), "No such file or directory")


def test_one_that_is_not_installed_is_absent_not_content() -> None:
    absent = ProgramEngine(
        name="fake",
        version="1.0",
        policy_sha256=sha256_of(b""),
        argv=("/bin/false",),
        readable=(),
        absence=lambda: "not installed: skillrepo engine install fake",
    )
    report = absent.run(TREE, limits=LIMITS)
    assert report.failure == "not installed: skillrepo engine install fake"
    assert [(f.check, f.severity) for f in report.findings] == [("engine.fake.absent", Severity.LOOK)]


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"hello\n", "not JSON"),
        (b"[]\n", "not an object"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"version": "1.0"}\n', "answer.findings: missing"),
        (b'{"version": "1.0", "findings": {}, "failed": []}\n', "not a list"),
        (b'{"version": "1.0", "findings": [7], "failed": []}\n', "not an object"),
        (b'{"version": "1.0", "findings": [], "failed": [], "is_safe": true}\n', "unknown key"),
        (b'{"version": "1.0", "findings": [], "failed": []}\n' * 2, "answered 2 times about 1 skill"),
        (b'{"version": "9.9", "findings": [], "failed": []}\n', "version 9.9 ran, 1.0 is pinned"),
        (
            b'{"version": "1.0", "findings": [], "failed": ["yara: boom"]}\n',
            "a part of it failed: yara: boom",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_an_answer_is_a_failure(printed: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "printed"
    path.write_bytes(printed)
    check_failed(engine("prints", str(path)).run(TREE, limits=LIMITS), words)


@pytest.mark.parametrize("within", NETWORK_CUT, ids=str)
def test_the_network_is_cut(within: Confinement, listener: Listener) -> None:  # noqa: F811
    port = listener.url.rpartition(":")[2]
    report = engine("connects", port, within=within).run(TREE, limits=LIMITS)
    assert "connected" not in told(report)
    assert listener.asked == []
    assert not [f for f in report.findings if f.check == "engine.fake.network-not-cut"]


def test_where_it_cannot_be_cut_the_report_says_so(listener: Listener) -> None:  # noqa: F811
    port = listener.url.rpartition(":")[2]
    report = engine("connects", port).run(TREE, limits=LIMITS)
    assert told(report) == "connected, 10 bytes"
    assert listener.asked == ["GET /leak"]
    [finding] = [f for f in report.findings if f.check == "engine.fake.network-not-cut"]
    assert finding.severity is Severity.NOTE


def test_in_bubblewrap_it_sees_and_writes_its_own_files_only(tmp_path: Path) -> None:
    secret, outside = tmp_path / "alice.key.json", tmp_path / "outside"
    secret.write_text('"the key"')
    within = Confinement.BUBBLEWRAP
    assert told(engine("read", str(secret), within=within).run(TREE, limits=LIMITS)) == "FileNotFoundError"
    for path in (outside, FAKE):
        assert "wrote" not in told(engine("write", str(path), within=within).run(TREE, limits=LIMITS))
    assert not outside.exists()
    assert "An engine that does" in FAKE.read_text()
    assert told(engine("read", str(secret)).run(TREE, limits=LIMITS)) == '"the key"'  # so the test can fail


def test_in_bubblewrap_it_cannot_fill_the_memory_instead_of_its_folder() -> None:
    for folder in ("/tmp", "/dev", "/dev/shm", "/var", "/"):
        said = told(engine("write", f"{folder}/x", within=Confinement.BUBBLEWRAP).run(TREE, limits=LIMITS))
        assert said in {"OSError", "FileNotFoundError"}, folder


@pytest.mark.slow
@pytest.mark.parametrize("within", list(Confinement), ids=str)
def test_folders_that_come_and_go_are_no_fault(within: Confinement) -> None:
    assert told(engine("flickers", within=within).run(TREE, limits=LIMITS)) == "done"


@pytest.mark.parametrize("within", NETWORK_CUT, ids=str)
def test_what_it_leaves_behind_dies_with_it(within: Confinement) -> None:
    mark = f"left-behind-{time.monotonic_ns()}"
    report = engine("forks", mark, within=within).run(TREE, limits=LIMITS)
    assert report.failure == ""
    end = time.monotonic() + 5
    while living(mark) and time.monotonic() < end:
        time.sleep(0.05)
    assert living(mark) == []


def living(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if mark in words:
            found.append(str(path))
    return found


@pytest.mark.parametrize("within", list(Confinement), ids=str)
def test_it_gets_none_of_our_variables(within: Confinement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILL_SCANNER_LLM_API_KEY", "secret")
    monkeypatch.setenv("LD_PRELOAD_X", "x")
    variables = told(engine("variables", within=within).run(TREE, limits=LIMITS))
    known = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONHASHSEED"}
    assert set(variables) - {"PWD", "LC_CTYPE", "OLDPWD"} == known


def test_it_runs_under_limits() -> None:
    core, cpu = told(engine("limits").run(TREE, limits=LIMITS))
    assert core == [0, 0]
    assert cpu == [21, 21]


@pytest.mark.parametrize("within", list(Confinement), ids=str)
def test_it_gets_exactly_the_files(within: Confinement) -> None:
    assert told(engine("files", within=within).run(TREE, limits=LIMITS)) == {
        "SKILL.md": [0o644, "---\nname: x\n---\nbody\n"],
        "scripts/run.sh": [0o755, "#!/bin/sh\n"],
    }
