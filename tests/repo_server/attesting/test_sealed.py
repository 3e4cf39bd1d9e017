"""An identity that was not verified cannot be had: not constructed, copied, replaced, nor unpickled."""

import copy
import dataclasses
import pickle  # noqa: TID251 - to show that evidence refuses it
from typing import Any

import pytest

from repo_server.attesting.ci import VerifiedAttestation, verify_attestation
from repo_server.attesting.verifying import VerifiedIdentity
from tests.repo_server.attesting.conftest import SIGNER, Reviewed
from tests.support.private_sigstore import PrivateSigstore, now


@pytest.fixture(scope="module")
def attestation(untouched: Reviewed) -> VerifiedAttestation:
    sigstore = PrivateSigstore()
    evidence = sigstore.sign_statement(untouched.payload)
    return verify_attestation(
        evidence,
        review=untouched.review,
        signer=SIGNER,
        trusted_root=sigstore.trusted_root(),
        now=now(),
    )


@pytest.mark.parametrize("of", ["attestation", "identity"])
def test_evidence_does_not_travel_or_change(of: str, attestation: VerifiedAttestation) -> None:
    item: Any = attestation if of == "attestation" else attestation.signer
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    for forge in (
        lambda: type(item)(**values, seal=object()),
        lambda: dataclasses.replace(item, **values),
        lambda: copy.copy(item),
        lambda: copy.deepcopy(item),
        lambda: pickle.loads(pickle.dumps(item)),
        lambda: item.__setstate__(list(values.values())),
    ):
        with pytest.raises((TypeError, ValueError)):
            forge()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(item, next(iter(values)), "x")
    assert isinstance(attestation.signer, VerifiedIdentity)
