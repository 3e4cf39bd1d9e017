-- Who stands behind a bundle, as CI says it.
INSERT INTO attestations (candidate_id, evidence_sha256, bundle_sha256, identity, issuer, created_at) VALUES
  ('c0ffee01', 'ee8250fb76e094b34b471f13a73dbbe51d1ae142e9df59d7c0d31ec20f0a0a8e', '1e6ed65d77d6364eeaed5a745ba5c4985ae2b700dd85d7cf7f027bdf294a33fc', 'ci@builds.example', 'https://issuer.example', '2026-01-02 03:04:05.678901');
