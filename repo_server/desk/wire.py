r"""What a curator's machine hands in over HTTP, written there and read here.

    a candidate    multipart/form-data: ``origin`` (JSON: where it came from), ``bundle`` (the files, as the
                   deterministic archive that would publish them; name, version and kind stand in its manifest)
    a review       {"envelope": {…DSSE…}, "replaces": "9f…" or null}; a second curator whose engines say something
                   else adds "engines_differ": {"differences": ["…"], "reason": "…"}, which is kept in the log
    signatures     {"subject": "candidate:5f…", "signatures": [{"keyid", "role", "sig", "signed_sha256"}, …]}
    a profile      {"profile": {…}}

Everything is read strictly: an unknown key or a second spelling is a refusal.
"""

from collections.abc import Sequence
from typing import Any, Final

from securesystemslib.signer import Signature

from repo_server.curation.candidates import Origin
from repo_server.curation.tree import SourceTree
from repo_server.publishing.handed_in import GivenSignature
from signing.errors import FormatError
from signing.format.archive import Bundle, read_bundle
from signing.format.canonical import canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.envelope import Envelope
from signing.format.fields import Fields
from signing.format.finding import Finding
from signing.format.manifest import Mode
from signing.roles import MAX_BITS

MAX_ORIGIN_BYTES: Final = 2 << 20
MAX_SUBJECT: Final = 120
MAX_ROLE: Final = 80
MAX_SIGNATURES: Final = (1 << MAX_BITS) + 1  # every hash bin, and the role above them
_SIGNATURE_DIGITS: Final = 128
_MAX_OBSERVATIONS: Final = 2_000


def origin_to_json(origin: Origin) -> dict[str, Any]:
    """Return ``origin`` as it is handed in."""
    return {
        "source": origin.source,
        "address": origin.address,
        "resolved": dict(origin.resolved),
        "publisher": origin.publisher,
        "licence": origin.licence,
        "observations": [finding.to_json() for finding in origin.observations],
    }


def origin_from_json(value: object) -> Origin:
    """Return the origin written as ``value``.

    Raises:
        FormatError: it is not one.
    """
    fields = Fields.of(value, where="origin")
    resolved = fields.mapping("resolved")
    if not all(isinstance(item, str) and len(item) <= 10_000 for item in resolved.values()):  # noqa: PLR2004
        raise FormatError("not texts by name", where="origin.resolved")
    origin = Origin(
        source=fields.text("source", max_length=40),
        address=fields.text("address", max_length=4_000),
        resolved=resolved,
        publisher=fields.text("publisher", max_length=1_000),
        licence=fields.text("licence", max_length=1_000),
        observations=fields.items("observations", Finding.from_json, maximum=_MAX_OBSERVATIONS),
    )
    fields.done()
    return origin


def multipart(origin: Origin, archive: bytes, *, boundary: str) -> tuple[bytes, str]:
    """Return the body that hands in a candidate, and its media type."""
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="origin"; filename="origin.json"\r\n'
        f"Content-Type: application/json\r\n\r\n"
    ).encode()
    middle = (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="bundle"; filename="bundle.tar.gz"\r\n'
        f"Content-Type: application/gzip\r\n\r\n"
    ).encode()
    body = b"".join(
        [head, canonical(origin_to_json(origin)), middle, archive, f"\r\n--{boundary}--\r\n".encode()]
    )
    return body, f"multipart/form-data; boundary={boundary}"


def tree_of(archive: bytes) -> tuple[Bundle, SourceTree]:
    """Return the bundle written as ``archive``, and its files as a candidate's.

    Raises:
        FormatError, DigestMismatchError: not exactly what `render_bundle` makes, or not the files of a skill.
    """
    bundle = read_bundle(archive)
    tree = SourceTree.of(
        (entry.path, bundle.contents[entry.path], entry.mode is Mode.EXECUTABLE)
        for entry in bundle.manifest.files
    )
    return bundle, tree


def envelope_from_json(value: object) -> bytes:
    """Return the canonical bytes of a DSSE envelope that came as part of a JSON document.

    Raises:
        FormatError: it is not one.
    """
    return Envelope.parse(canonical(value), where="envelope").render()


def signatures_to_json(subject: str, given: Sequence[GivenSignature]) -> dict[str, Any]:
    """Return signatures as they are handed in."""
    return {
        "subject": subject,
        "signatures": [
            {
                "role": item.role,
                "signed_sha256": item.signed_sha256,
                "keyid": item.signature.keyid,
                "sig": item.signature.signature,
            }
            for item in given
        ],
    }


def signatures_from_json(value: object) -> tuple[str, tuple[GivenSignature, ...]]:
    """Return the subject and the signatures written as ``value``.

    Raises:
        FormatError: none are, or one is not spelled as we spell them.
    """
    fields = Fields.of(value, where="body")
    subject = fields.text("subject", max_length=MAX_SUBJECT)
    given = fields.items("signatures", _signature, maximum=MAX_SIGNATURES)
    fields.done()
    if not given:
        raise FormatError("holds no signature", where="body.signatures")
    return subject, given


def replaces_from_json(value: object) -> Sha256 | None:
    """Return the digest of the review that its maker had seen, or None when there was none."""
    return None if value is None else parse_sha256(value, where="replaces")


def _signature(value: object, where: str) -> GivenSignature:
    fields = Fields.of(value, where=where)
    role = fields.text("role", max_length=MAX_ROLE)
    signed = parse_sha256(fields.take("signed_sha256"), where=fields.place("signed_sha256"))
    keyid = parse_sha256(fields.take("keyid"), where=fields.place("keyid"))
    text = fields.text("sig", max_length=_SIGNATURE_DIGITS)
    fields.done()
    # bytes.fromhex also takes upper case and spaces: two spellings of one signature are two digests of one file.
    if len(text) != _SIGNATURE_DIGITS or not set(text) <= set("0123456789abcdef"):
        raise FormatError("not a signature (128 lower-case hexadecimal digits)", where=fields.place("sig"))
    return GivenSignature(role=role, signed_sha256=signed, signature=Signature(keyid, text))
