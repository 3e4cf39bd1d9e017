"""The list of files that model-signing (OMS) signs, compared with a tree.

    "predicateType": "https://model_signing/signature/v1.0",
    "subject": [{"name": "…", "digest": {"sha256": sha256 over the digests of all resources, in order}}],
    "predicate": {"serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": false,
                                    "ignore_paths": ["skill.oms.sig"]},
                  "resources": [{"name": "SKILL.md", "algorithm": "sha256", "digest": "5d…"}]}

The signed document may carry its own list of paths to ignore. It is not honoured: what verification covers is
decided by us. Every file must be listed, apart from the one that holds the signature.
"""

import hashlib
from typing import Any, Final

from repo_server.attesting.material import Claim
from repo_server.curation.textsafe import excerpt
from repo_server.curation.tree import SourceTree
from signing.errors import DigestMismatchError, FormatError, WrongSubjectError
from signing.format.digest import Sha256, parse_sha256, sha256_of
from signing.format.manifest import MemberPath

PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
_WHERE: Final = "predicate"
_MAX_RESOURCES: Final = 10_000


def check_model(claim: Claim, tree: SourceTree, *, signature: MemberPath) -> None:
    """Return None when ``claim`` lists every file of ``tree``, apart from ``signature``, and no other.

    Raises:
        FormatError: not such a list, or one made in a way that is not by file and sha256.
        WrongSubjectError: the list is not the one that the statement is about.
        DigestMismatchError: a file is missing, differs, or is not listed.
    """
    listed = _resources(claim)
    for path, file in tree.files.items():
        if path == signature:
            continue
        if path not in listed:
            raise DigestMismatchError("is not in the signed list of files", where=path)
        if sha256_of(file.content) != listed[path]:
            raise DigestMismatchError("is not the file that was signed", where=path)
    if missing := sorted(set(listed) - set(tree.files)):
        raise DigestMismatchError(
            f"{excerpt(missing[0])!a} was signed and is not there ({len(missing)} files)",
            where="signed list",
        )


def _resources(claim: Claim) -> dict[str, Sha256]:
    if claim.predicate_type != PREDICATE_TYPE:
        raise WrongSubjectError(f"claims {excerpt(claim.predicate_type)!r}", where="evidence")
    _check_serialization(claim.predicate.get("serialization"))
    resources = claim.predicate.get("resources")
    if not isinstance(resources, list) or not 0 < len(resources) <= _MAX_RESOURCES:
        raise FormatError("not a list of files", where=f"{_WHERE}.resources")
    listed: dict[str, Sha256] = {}
    for index, item in enumerate(resources):
        name, digest = _resource(item, f"{_WHERE}.resources[{index}]")
        if name in listed:
            raise FormatError("is listed twice", where=f"{_WHERE}.resources[{index}]")
        listed[name] = digest
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in listed.values())).hexdigest()
    if [digest for _, digest in claim.subjects] != [whole]:
        raise WrongSubjectError("its list of files is not what it is about", where="evidence")
    return listed


def _check_serialization(value: Any) -> None:
    expected = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    for key, wanted in expected.items():
        found = value.get(key) if isinstance(value, dict) else None
        if type(found) is not type(wanted) or found != wanted:
            raise FormatError(f"must be {wanted!r}", where=f"{_WHERE}.serialization.{key}")


def _resource(value: Any, where: str) -> tuple[str, Sha256]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise FormatError("not a file with a name", where=where)
    if value.get("algorithm") != "sha256":
        raise FormatError("its digest is not a sha256", where=where)
    return value["name"], parse_sha256(value.get("digest"), where=f"{where}.digest")
