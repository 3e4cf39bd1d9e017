"""Sigstore: identities of CI beside our own reviews, and other people's evidence about what we import.

material.py    what a Sigstore bundle says about itself; nothing of it is verified
roots.py       which entries of a trusted root were valid when something was signed
identity.py    who a signing certificate was issued to
verifying.py   the only place that asks sigstore; everything that it raises is refused as one of our errors
ci.py          the statement by which CI attests a reviewed bundle
making.py      signing such a statement with an OIDC identity
kept.py        attestations of a candidate
chains.py      certificates without a transparency log
model.py       lists of files as model-signing writes them
evidence.py    where evidence stands in an imported tree, and what it covers
upstream.py    what that means for a candidate, and for the next version of it

Our own signatures stay Ed25519 in DSSE and TUF; a Sigstore identity is one more fact that a policy can demand.
`sigstore` is imported inside functions only, and by nothing that a jail's host runs.
"""
