"""JSON schemas of what the API answers and takes; the shapes that OpenAPI readers see.

They describe, they do not decide: what is taken is read strictly by the code that reads it.
"""

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
SHA256: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
MOMENT: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
}
NAME: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 64}
VERSION: Final[Schema] = {"type": "string", "pattern": "^[0-9][a-z0-9.!]*$", "maxLength": 40}
CANDIDATE_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
KIND: Final[Schema] = {"enum": ["skill", "soul"]}
SUBJECT: Final[Schema] = {
    "type": "string",
    "pattern": "^((candidate|profile|renewal|revocations):[A-Za-z0-9.!=_-]+|builder:[A-Za-z0-9:_/-]+)$",
    "maxLength": 120,
}


def record(**properties: Schema) -> Schema:
    """Return the schema of an object that has exactly these members."""
    return {
        "type": "object",
        "required": sorted(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def with_optional(schema: Schema, **properties: Schema) -> Schema:
    """Return the schema of ``schema``, whose objects may have these members too."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def listed(items: Schema) -> Schema:
    """Return the schema of a list of ``items``."""
    return {"type": "array", "items": items}


def optional(schema: Schema) -> Schema:
    """Return the schema of ``schema`` or null."""
    return {"anyOf": [schema, {"type": "null"}]}


RELEASE: Final = record(
    name=NAME,
    version=VERSION,
    kind=KIND,
    state=TEXT,
    bundle_path=TEXT,
    bundle_sha256=SHA256,
    bundle_bytes=COUNT,
    tree_sha256=SHA256,
    review_path=TEXT,
    review_sha256=SHA256,
    published_at=MOMENT,
    reviewers=listed(TEXT),
)
SKILLS: Final = record(skills=listed(record(name=NAME, kind=KIND, latest=VERSION, description=TEXT)))
RELEASES: Final = record(name=NAME, releases=listed(RELEASE))
PROFILES: Final = record(profiles=listed(record(name=NAME, version=VERSION, sha256=SHA256)))
STATUS: Final = record(
    dev={"type": "boolean"},
    roles={"type": "object", "additionalProperties": record(version=COUNT, expires=MOMENT)},
    problems=listed(TEXT),
)

CANDIDATE: Final[Schema] = {
    "type": "object",
    "required": [
        "candidate",
        "state",
        "name",
        "version",
        "kind",
        "source",
        "address",
        "resolved",
        "tree_sha256",
    ],
    "properties": {
        "candidate": CANDIDATE_ID,
        "state": TEXT,
        "name": NAME,
        "version": VERSION,
        "kind": KIND,
        "source": TEXT,
        "address": TEXT,
        "resolved": {"type": "object", "additionalProperties": TEXT},
        "tree_sha256": SHA256,
        "review_sha256": optional(SHA256),
    },
}
ROWS: Final = listed({"type": "object"})
STATE: Final[Schema] = {
    "type": "object",
    "required": ["schema", "dev", "policy", "candidates", "metadata", "proposals", "releases", "profiles"],
    "properties": {
        "schema": TEXT,
        "dev": {"type": "boolean"},
        "policy": {"type": "object", "additionalProperties": TEXT},
    },
    "additionalProperties": ROWS,
}
LOG: Final = record(records=listed(record(sequence=COUNT, record=TEXT, digest=SHA256)))
REVIEW: Final = with_optional(
    record(
        envelope=record(
            payload=TEXT,
            payloadType=TEXT,
            signatures=listed(record(keyid=SHA256, sig=TEXT)),
        ),
        replaces=optional(SHA256),
    ),
    engines_differ=record(
        reason={"type": "string", "minLength": 1, "maxLength": 2000},
        differences={"type": "array", "items": {"type": "string", "maxLength": 1000}, "maxItems": 50},
    ),
)
SUBJECT_BODY: Final = record(subject=SUBJECT)
PROPOSALS: Final = record(
    subject=SUBJECT, proposals=listed(record(role=TEXT, version=COUNT, signed_sha256=SHA256))
)
SIGNATURES: Final = record(
    subject=SUBJECT,
    signatures={
        **listed(
            record(
                role=TEXT,
                signed_sha256=SHA256,
                keyid=SHA256,
                sig={"type": "string", "pattern": "^[0-9a-f]{128}$"},
            )
        ),
        "minItems": 1,
    },
)
SIGNED: Final = record(
    subject=SUBJECT,
    changes=listed(
        record(
            role=TEXT,
            from_version=COUNT,
            to_version=COUNT,
            adds=listed(record(path=TEXT, length=COUNT, sha256=SHA256)),
            signed=listed(TEXT),
            missing=listed(TEXT),
            threshold=COUNT,
        )
    ),
)
UPLOAD: Final = record(
    origin={
        **record(
            source={"type": "string", "maxLength": 40},
            address={"type": "string", "maxLength": 4000},
            resolved={"type": "object", "additionalProperties": TEXT},
            publisher={"type": "string", "maxLength": 1000},
            licence={"type": "string", "maxLength": 1000},
            observations=ROWS,
        )
    },
    bundle={"type": "string", "contentMediaType": "application/gzip", "format": "binary"},
)
PROFILE: Final = record(profile={"type": "object"})
DRAFTED: Final = record(profile=TEXT, sha256=SHA256)
DROPPED: Final = record(profile=TEXT, dropped={"const": True})
PUBLISHED: Final = record(
    published=listed(record(kind={"enum": ["release", "profile"]}, name=NAME, version=VERSION)),
    renewed=listed(TEXT),
    builders=listed(TEXT),
    withdrawals=listed(record(id=TEXT, state=TEXT, scope=TEXT)),
    pending=listed(record(subject=TEXT, missing=listed(TEXT))),
    blocked=listed(record(subject=TEXT, code=TEXT, message=TEXT, hint=TEXT, where=TEXT)),
    snapshot_version=optional(COUNT),
    timestamp_version=optional(COUNT),
)
ABI: Final[Schema] = {"type": "string", "pattern": "^FreeBSD:[0-9]{1,3}:[a-z0-9]{1,20}$"}
CHANNEL: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 40}
BYTES: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 8 << 30}
OCTETS: Final[Schema] = {"type": "string", "format": "binary", "maxLength": 32 << 20}
QUESTIONS: Final = record(blobs={**listed(record(sha256=SHA256, size=BYTES)), "maxItems": 2_000})
MISSING: Final = record(missing=listed(SHA256))
OFFSET: Final = record(offset=BYTES)
METADATA: Final = record(signed={"type": "object"}, signatures=ROWS)
ACCEPTED_BUILD: Final = record(
    repository=TEXT,
    serial=COUNT,
    packages=COUNT,
    kept=COUNT,
    role_version=COUNT,
    signed_by=listed(TEXT),
    renewed={"type": "boolean"},
    snapshot_version=COUNT,
    timestamp_version=COUNT,
)
ADVISORIES: Final = record(
    metadata={"type": "string", "contentMediaType": "application/json", "format": "binary"},
    list={"type": "string", "contentMediaType": "application/xml", "format": "binary"},
)
PACKAGE_REPO: Final[Schema] = {
    "type": "string",
    "pattern": "^FreeBSD:[0-9]{1,3}:[a-z0-9]{1,20}/[a-z0-9]+(-[a-z0-9]+)*$",
    "maxLength": 80,
}
PUBLIC_KEY: Final = record(
    schema={"const": "https://skills.clawdie.si/schema/public-key/v1"},
    holder=TEXT,
    keyid=SHA256,
    keytype={"const": "ed25519"},
    scheme={"const": "ed25519"},
    public=SHA256,
)
BUILDER: Final = record(repository=PACKAGE_REPO, key=PUBLIC_KEY)
BUILDER_DROPPED: Final = record(repository=PACKAGE_REPO, dropped={"const": True})
ADVISORIES_TAKEN: Final = record(snapshot_version=COUNT, timestamp_version=COUNT)
