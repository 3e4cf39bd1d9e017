"""Buckets read from lists of items: three layouts, whole or refused."""

import uuid

import pytest

from hive.vault.bucket import Bucket, Variable, make_bucket
from hive.vault.items import read_items
from signing.errors import (
    CouldNotVerifyError,
    FormatError,
    NotEntitledError,
    RejectedError,
    WrongSubjectError,
)
from signing.format.names import parse_tenant_id
from tests.support.standin_bw import make_item

ACME = parse_tenant_id("acme")
ORGANIZATION, COLLECTION = str(uuid.uuid4()), str(uuid.uuid4())


def item(name, **values):
    return make_item(COLLECTION, ORGANIZATION, name, **values)


def marker(keys, tenant="acme", **more):
    return item(".hive", fields={"tenant_id": tenant, "keys": keys, **more})


def read(*items):
    return read_items(list(items), tenant_id=ACME, collection_id=COLLECTION, organization_id=ORGANIZATION)


def values(bucket):
    return {name: secret.reveal().decode() for name, secret in bucket.variables.items()}


LAYOUTS = {
    "custom-fields": [item("Providers", fields={"A": "1", "B": "2"})],
    "custom-fields-of-a-login": [item("Providers", kind=1, fields={"A": "1", "B": "2"})],
    "custom-fields-of-a-card": [item("Providers", kind=3, fields={"A": "1", "B": "2"})],
    "logins": [item("A", password="1"), item("B", password="2")],
    "notes": [item("A", notes="1"), item("B", notes="2")],
    "dotenv-note": [item(".env", notes="# mine\nA=1\nB='2'\n")],
    "env-note": [item("env", notes="A=1\nB=2")],
    "mixed": [item("A", password="1", notes="where it is from"), item(".env", notes="B=2\n")],
    "a-login-with-a-field": [item("A", password="1", fields={"B": "2"})],
}


@pytest.mark.parametrize("items", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_bucket(items):
    bucket = read(*items, marker("A,B"))
    assert values(bucket) == {"A": "1", "B": "2"}
    assert (bucket.tenant_id, bucket.collection_id, bucket.names) == (ACME, COLLECTION, ("A", "B"))


def test_the_order_of_items_and_keys_does_not_matter():
    assert values(read(marker("B,A"), *reversed(LAYOUTS["logins"]))) == {"A": "1", "B": "2"}


REFUSED = {
    "given-twice-in-two-items": ([item("A", password="1"), item("A", password="1")], FormatError, "twice"),
    "given-twice-in-two-layouts": (
        [item("A", password="1"), item("x", fields={"A": "1"})],
        FormatError,
        "twice",
    ),
    "given-twice-in-one-item": ([item("x", fields=[("A", "1"), ("A", "2")])], FormatError, "twice"),
    "given-twice-in-dotenv": ([item(".env", notes="A=1\nA=1\n")], FormatError, "twice"),
    "newline": ([item("A", password="planted\nB=1")], FormatError, "control character"),
    "newline-in-a-note": ([item("A", notes="planted\n")], FormatError, "control character"),
    "nul": ([item("A", password="planted\0")], FormatError, "control character"),
    "lone-surrogate": ([item("A", password="\ud800")], FormatError, "control character"),
    "no-value": ([item("A", password="")], FormatError, "empty value"),
    "no-notes": ([item("A")], FormatError, "empty value"),
    "lower-case-field": ([item("x", fields={"planted": "1"})], FormatError, "not the name"),
    "swapped-field": ([item("x", fields={"sk-planted": "A"})], FormatError, "not the name"),
    "field-with-newline": ([item("x", fields={"A\n": "planted"})], FormatError, "not the name"),
    "linked-field": ([{**item("x"), "fields": [{"type": 3, "name": "A"}]}], FormatError, "linked"),
    "a-named-card": ([item("A", kind=3)], FormatError, "neither a login nor a note"),
    "nameless-password": ([item("OpenRouter", password="planted")], FormatError, "password whose"),
    "nameless-password-beside-fields": (
        [item("OpenRouter", password="planted", fields={"A": "1"})],
        FormatError,
        "password whose",
    ),
    "gives-nothing": ([item("Readme", notes="planted")], FormatError, "gives no variable"),
    "dotenv-that-is-a-login": ([item(".env", password="planted")], FormatError, "password whose"),
    "dotenv-in-another-form": ([item(".env", notes="export A=planted\n")], FormatError, "strict form"),
    "of-the-hive": ([item("HIVE_TOKEN", password="planted")], NotEntitledError, "belongs to the hive"),
    "in-the-trash": (
        [{**item("A", password="planted"), "deletedDate": "2026-01-01T00:00:00Z"}],
        FormatError,
        "trash",
    ),
    "of-another-organisation": (
        [{**item("A", password="planted"), "organizationId": str(uuid.uuid4())}],
        WrongSubjectError,
        "another bucket",
    ),
    "of-another-collection": (
        [make_item(str(uuid.uuid4()), ORGANIZATION, "A", password="planted")],
        WrongSubjectError,
        "another bucket",
    ),
    "in-two-collections": (
        [{**item("A", password="planted"), "collectionIds": [COLLECTION, str(uuid.uuid4())]}],
        WrongSubjectError,
        "another",
    ),
    "in-no-collection": (
        [{**item("A", password="planted"), "collectionIds": []}],
        WrongSubjectError,
        "another",
    ),
    "not-an-item": (["planted"], FormatError, "not an item"),
    "without-an-id": ([{**item("A", password="planted"), "id": "planted"}], FormatError, "without an id"),
    "type-is-a-flag": ([{**item("A", password="planted"), "type": True}], FormatError, "not an item"),
    "password-is-a-number": (
        [{**item("A", password="x"), "login": {"password": 5}}],
        FormatError,
        "password is not text",
    ),
}


@pytest.mark.parametrize(("items", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_one_bad_item_refuses_the_whole_bucket_and_shows_no_value(items, error, match):
    with pytest.raises(error, match=match) as caught:
        read(item("GOOD", password="1"), *items, marker("GOOD,A"))
    assert "planted" not in str(caught.value.to_document())


MARKERS = {
    "none": ([], CouldNotVerifyError, "0 marker items"),
    "two": ([marker("A"), marker("A")], CouldNotVerifyError, "2 marker items"),
    "of-another-tenant": ([marker("A", tenant="beta")], WrongSubjectError, "beta's, not acme's"),
    "of-nobody": ([marker("A", tenant="planted value")], WrongSubjectError, "somebody else"),
    "declares-more": ([marker("A,B")], CouldNotVerifyError, "missing B"),
    "declares-less": ([item("B", password="1"), marker("A")], CouldNotVerifyError, "not declared B"),
    "declares-nothing": ([marker("")], FormatError, "keys are not names"),
    "declares-twice": ([marker("A,A")], FormatError, "keys are not names"),
    "with-blanks": ([marker("A, B")], FormatError, "keys are not names"),
    "with-another-field": ([marker("A", version="1")], FormatError, "other fields"),
    "without-keys": ([item(".hive", fields={"tenant_id": "acme"})], FormatError, "other fields"),
    "with-a-field-twice": (
        [item(".hive", fields=[("tenant_id", "beta"), ("tenant_id", "acme"), ("keys", "A")])],
        FormatError,
        "other fields",
    ),
}


@pytest.mark.parametrize(("items", "error", "match"), MARKERS.values(), ids=MARKERS)
def test_a_bucket_without_exactly_its_marker_is_refused(items, error, match):
    with pytest.raises(error, match=match) as caught:
        read(item("A", password="planted"), *items)
    assert "planted" not in str(caught.value.to_document())


def test_a_list_that_came_only_in_part_is_refused():
    whole = [item("A", password="1"), item("B", password="2"), marker("A,B")]
    read(*whole)
    for missing in whole:
        with pytest.raises(RejectedError):
            read(*(kept for kept in whole if kept is not missing))


@pytest.mark.parametrize("answer", [None, {}, "[]", [[]] * 501], ids=["null", "object", "text", "endless"])
def test_what_is_no_list_of_items_is_refused(answer):
    with pytest.raises(FormatError):
        read_items(answer, tenant_id=ACME, collection_id=COLLECTION, organization_id=ORGANIZATION)


def test_a_bucket_cannot_be_made_by_hand():
    with pytest.raises(TypeError, match="make_bucket"):
        Bucket(tenant_id=ACME, collection_id=COLLECTION, variables={}, seal=object())


def test_a_bucket_shows_names_and_no_values():
    bucket = make_bucket(ACME, COLLECTION, [Variable("A", "planted", "x")], declared=("A",))
    assert "planted" not in repr(bucket) + repr(Variable("A", "planted", "x"))
    assert "'A'" in repr(bucket)
    bucket.forget()
    with pytest.raises(ValueError, match="forgotten"):
        bucket.variables["A"].reveal()
