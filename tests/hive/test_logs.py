"""The log of a service: one JSON object a line, without names, without what strangers wrote."""

import json
import logging
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hive.db.session import open_engine
from hive.logs import logged, route_of
from hive.sweep.actions import Action
from hive.sweep.events import note_failure, note_sweep
from hive.sweep.findings import Finding, Found
from hive.sweep.sweeper import Swept
from hive.tenants import Tenant, TenantStatus, Tier
from signing.errors import HostError
from signing.format.names import Pin, parse_tenant_id
from signing.log_lines import JsonLines

SECRET = "hunter2-a-token"


def line(names: bool, message: str, *args: object, **facts: Any) -> dict[str, Any]:
    record = logging.getLogger("hive.x").makeRecord(
        "hive.x", logging.WARNING, "f", 1, message, args, None, extra={"facts": facts}
    )
    text = JsonLines(names=names).format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_one_object_with_its_facts() -> None:
    found = line(False, "request", route="/v1/jobs/claim", status=200)
    assert found.pop("at").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "hive.x",
        "event": "request",
        "route": "/v1/jobs/claim",
        "status": 200,
    }


def test_names_are_written_only_when_they_are_asked_for() -> None:
    assert line(False, "cannot answer: %s", "tenant acme")["event"] == "cannot answer: %s"
    assert (
        line(True, "cannot answer: %s", "tenant acme\nforged")["event"]
        == "cannot answer: tenant acme\nforged"
    )


def test_of_an_error_only_its_kind_is_written() -> None:
    try:
        int(SECRET)
    except ValueError:
        record = logging.getLogger("x").makeRecord("x", logging.ERROR, "f", 1, "broke", (), sys.exc_info())
    text = JsonLines(names=True).format(record)
    assert json.loads(text)["error"] == "ValueError"
    assert SECRET not in text


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/jobs/claim", "/v1/jobs/claim"),
        ("/v1/agents/heartbeat", "/v1/agents/heartbeat"),
        ("/v1/jobs/acme-7/complete", "/v1/jobs/<job>/complete"),
        ("/v1/jobs/a/b/complete", "other"),
        (f"/v1/{SECRET}", "other"),
        ('/v1/jobs/claim\n{"event": "forged"}', "other"),
        ("", "other"),
    ],
)
def test_a_route_holds_nothing_that_a_stranger_wrote(path: str, route: str) -> None:
    assert route_of(path) == route


def test_every_request_is_one_event(caplog: pytest.LogCaptureFixture) -> None:
    def application(_environ: Any, start: Any) -> list[bytes]:
        start("401 UNAUTHORIZED", [("Content-Type", "text/plain")])
        return [b"no"]

    said: list[str] = []
    environ = {"PATH_INFO": "/v1/agents/register", "HTTP_AUTHORIZATION": f"Bearer {SECRET}"}
    with caplog.at_level(logging.INFO, "hive.events"):
        body = list(logged(application)(environ, lambda status, *_: said.append(status)))  # type: ignore[arg-type, return-value]
    assert (body, said) == ([b"no"], ["401 UNAUTHORIZED"])
    (record,) = caplog.records
    assert (record.facts["route"], record.facts["status"]) == ("/v1/agents/register", 401)  # type: ignore[attr-defined]
    assert SECRET not in JsonLines(names=True).format(record)


def test_everything_that_a_process_logs_is_json() -> None:
    program = (
        "import logging; from hive.logs import note; from signing.log_lines import log_json; log_json();"
        "note('sweep', tenants=2); logging.getLogger('waitress').error('Exception %s', 'acme')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    events = [json.loads(text) for text in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["sweep", "<string>.<module>:1"]
    assert "acme" not in done.stderr
    assert events[0]["tenants"] == 2
    assert done.stdout == ""


@pytest.mark.parametrize("names", [False, True], ids=["without-names", "with-names"])
def test_what_a_library_says_is_kept_back_unless_names_are_wanted(names: bool) -> None:
    # Waitress formats the path of a request into the message itself when a client goes away.
    record = logging.getLogger("waitress").makeRecord(
        "waitress",
        logging.INFO,
        "channel.py",
        434,
        f"Client disconnected while serving /{SECRET}",
        (),
        None,
        "service",
    )
    event = json.loads(JsonLines(names=names).format(record))["event"]
    assert event == (f"Client disconnected while serving /{SECRET}" if names else "channel.service:434")


def swept() -> Swept:
    tenant = Tenant(
        tenant_id=parse_tenant_id("acme"),
        tier=Tier.PAID,
        profile=Pin.parse("base==1"),
        collection_id=None,
        scratch=False,
        status=TenantStatus.QUARANTINED,
        reason="",
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    finding = Finding(kind=Found.DRIFT, subject="usr/home/agent/notes", detail="is changed")
    return Swept(
        tenant=tenant,
        findings=(finding,),
        new=(finding,),
        done=(Action.UNROUTABLE,),
        failed=("stop-jail: acme runs",),
    )


@pytest.mark.parametrize("names", [False, True], ids=["without-names", "with-names"])
def test_what_a_sweep_logs(caplog: pytest.LogCaptureFixture, names: bool) -> None:
    with caplog.at_level(logging.INFO, "hive.events"):
        note_sweep([swept()], names=names)
        note_failure(HostError("the jail of acme is gone"), names=names)
    lines = [json.loads(JsonLines(names=names).format(record)) for record in caplog.records]
    events = ["sweep.found", "sweep.done", "sweep.failed", "sweep", "sweep.broken"]
    assert [item["event"] for item in lines] == events
    assert (lines[0]["kind"], lines[1]["action"], lines[3]["findings"]) == ("drift", "unroutable", 1)
    assert ("acme" in str(lines), "agent/notes" in str(lines)) == (names, names)


def test_serve_writes_nothing_but_json(tmp_path: Path) -> None:
    open_engine(f"sqlite:///{tmp_path / 'hive.db'}").dispose()
    command = [sys.executable, "-c", "from hive.cli import main; main()", "--db", str(tmp_path / "hive.db")]
    with subprocess.Popen(
        [*command, "serve", "--log-json", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            serving = json.loads(process.stderr.readline())
            request = urllib.request.Request(
                f"{serving['where']}/v1/jobs/{SECRET}/show",
                data=b"{}",
                headers={"Authorization": f"Bearer {SECRET}"},
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=20)
            refused.value.close()
        finally:
            process.terminate()
            rest = process.communicate(timeout=30)[1]
    lines = [json.loads(text) for text in rest.splitlines()]
    requests = [item for item in lines if item["event"] == "request"]
    assert [(item["event"], item["route"], item["status"]) for item in requests] == [
        ("request", "/v1/jobs/<job>/show", 401)
    ]
    assert SECRET not in rest
