"""Which site answers: by Host, by prefix on loopback, and never by default."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from repo_server.web.config import WebConfig
from repo_server.web.sites import MisdirectedRequestError, Site, choose_site, parse_host
from signing.errors import FormatError
from tests.repo_server.web.published import META_CONF

CONFIG = WebConfig(skills_root=Path("skills"), pkg_root=Path("pkg"))
META = "/FreeBSD:14:amd64/latest/meta.conf"


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("skills.clawdie.si", "/metadata/timestamp.json", (Site.SKILLS, "/metadata/timestamp.json")),
        ("SKILLS.Clawdie.SI:443", "/", (Site.SKILLS, "/")),
        ("pkg.clawdie.si", META, (Site.PKG, META)),
        ("pkg.clawdie.si:8080", "/skills/x", (Site.PKG, "/skills/x")),
        ("skills.clawdie.si", "/pkg/x", (Site.SKILLS, "/pkg/x")),
        ("127.0.0.1", "/x", (Site.SKILLS, "/x")),
        ("127.0.0.1:8080", "/skills/x", (Site.SKILLS, "/x")),
        ("LocalHost:1", "/pkg/x/y", (Site.PKG, "/x/y")),
        ("[::1]:8080", "/pkg", (Site.PKG, "/")),
        ("[::1]", "/pkg/", (Site.PKG, "/")),
        ("localhost", "/pkgs/x", (Site.SKILLS, "/pkgs/x")),
    ],
)
def test_site_of_a_request(host: str, path: str, expected: tuple[Site, str]) -> None:
    assert choose_site(host, path, CONFIG) == expected


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "clawdie.si",
        "xskills.clawdie.si",
        "skills.clawdie.si.",
        "127.0.0.2",
        "[::2]",
        "0.0.0.0",
        "1",
    ],
)
def test_other_hosts_are_misdirected(host: str) -> None:
    with pytest.raises(MisdirectedRequestError):
        choose_site(host, "/", CONFIG)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " skills.clawdie.si",
        "skills.clawdie.si ",
        "ours@skills.clawdie.si",
        "skills.clawdie.si:",
        "skills.clawdie.si:x",
        "skills.clawdie.si:99999",
        "skills.clawdie.si:80:80",
        "skills.clawdie.si, evil.example",
        "skills.clawdie.si/x",
        "skills.clawdie.si\n",
        "sk\u0131lls.clawdie.si",
        "skills.clawdie.si:\u0663",
        "::1",
        "[::1",
        "[::1%25lo]",
        "a" * 300,
    ],
)
def test_malformed_hosts_are_refused(host: str) -> None:
    with pytest.raises(FormatError):
        parse_host(host)


def test_hosts_are_configurable(tmp_path: Path) -> None:
    config = WebConfig(
        skills_root=tmp_path, pkg_root=tmp_path, skills_hosts=("a.example", "b"), pkg_hosts=("c",)
    )
    assert choose_site("b:81", "/", config)[0] is Site.SKILLS
    assert choose_site("C", "/", config)[0] is Site.PKG
    with pytest.raises(MisdirectedRequestError):
        choose_site("skills.clawdie.si", "/", config)


@pytest.mark.parametrize(
    "host", ["", "A.example", "a.example:80", "a b", "localhost", "pkg.clawdie.si", "-a", "a..b"]
)
def test_wrong_host_names_are_refused_in_the_configuration(host: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        WebConfig(skills_root=tmp_path, pkg_root=tmp_path, skills_hosts=(host,))


def test_each_site_serves_its_own_tree(client: FlaskClient) -> None:
    assert client.get("/metadata/7.snapshot.json").status_code == 200
    assert client.get(META).status_code == 404
    assert client.get(META, headers={"Host": "pkg.clawdie.si"}).data == META_CONF
    assert client.get("/metadata/7.snapshot.json", headers={"Host": "pkg.clawdie.si"}).status_code == 404


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:9"])
def test_both_sites_are_reachable_on_loopback(client: FlaskClient, host: str) -> None:
    headers = {"Host": host}
    assert client.get("/metadata/7.snapshot.json", headers=headers).status_code == 200
    assert client.get("/skills/metadata/7.snapshot.json", headers=headers).status_code == 200
    assert client.get(f"/pkg{META}", headers=headers).data == META_CONF
    assert client.get("/skills/api/v1/skills", headers=headers).status_code == 200
    assert client.get("/pkg/metadata/7.snapshot.json", headers=headers).status_code == 404


def test_other_host_gets_421_and_no_byte_of_a_file(client: FlaskClient) -> None:
    answer = client.get("/metadata/7.snapshot.json", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["code"] == "misdirected-request"
    assert b"snapshot" not in answer.data


def test_malformed_host_gets_400(client: FlaskClient) -> None:
    answer = client.get("/metadata/7.snapshot.json", headers={"Host": "ours@skills.clawdie.si"})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed")


def test_health_is_answered_for_every_host(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"Host": "10.0.0.7:8080"}).status_code == 200
    assert client.get("/readyz", headers={"Host": "10.0.0.7:8080"}).status_code == 200
