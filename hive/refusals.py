"""What a refusal is about: whoever reads the audit log later asks which bytes, by whose role and keys, and not only why.

with about(evidence, policy):        # hive.admission
    ...                              # a RejectedError that leaves here carries ``facts["evidence"]``
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from hive.external import ExternalBundle
from hive.policy import Policy
from signing.errors import RejectedError
from signing.evidence import VerifiedRelease
from signing.format.digest import Sha256
from signing.format.pkg.index import IndexedPackage
from signing.package_evidence import VerifiedPackage, VerifiedPackageSet
from signing.trusted import VouchedTarget


@contextlib.contextmanager
def about(evidence: object, policy: Policy) -> Iterator[None]:
    """Let every refusal in here say what it is about, and by which policy it was made."""
    with _naming({**_subject(evidence), "policy_sha256": policy.sha256}):
        yield


@contextlib.contextmanager
def about_listed(sha256: Sha256, packages: VerifiedPackageSet) -> Iterator[None]:
    """Let every refusal in here say which package of the index it is about: one that is not verified, or is no more."""
    with _naming(_package(packages.listed(sha256), packages)):
        yield


@contextlib.contextmanager
def _naming(subject: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except RejectedError as error:
        error.facts.setdefault("evidence", dict(subject))
        raise


def _subject(evidence: object) -> dict[str, Any]:
    match evidence:
        case VerifiedPackage():
            return _package(evidence.package, evidence.packages)
        case VerifiedRelease():
            bundle = evidence.bundle
            return {
                "kind": bundle.bundle.manifest.kind.value,
                "pin": str(evidence.pin),
                "bundle_sha256": bundle.target.sha256,
                "tree_sha256": bundle.tree_sha256,
                "review_sha256": evidence.review.target.sha256,
                **_signed(bundle.target),
            }
        case ExternalBundle():
            return {
                "kind": evidence.bundle.manifest.kind.value,
                "pin": str(evidence.pin),
                "bundle_sha256": evidence.sha256,
                "tree_sha256": evidence.bundle.manifest.tree_digest,
                "role": None,
            }
        case _:
            return {"kind": type(evidence).__name__, "role": None}


def _package(package: IndexedPackage, packages: VerifiedPackageSet) -> dict[str, Any]:
    return {
        "kind": "package",
        "pin": str(package.pin),
        "sha256": package.sha256,
        "repository": str(packages.repo),
        "serial": packages.index.serial,
        "index_sha256": packages.target.sha256,
        **_signed(packages.target),
    }


def _signed(target: VouchedTarget) -> dict[str, Any]:
    return {
        "role": target.role,
        "role_version": target.role_version,
        "signed_by": list(target.signers),
        "signer_keyids": list(target.signer_keyids),
    }
