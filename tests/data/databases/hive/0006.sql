-- What was provisioned.
INSERT INTO provisionings (tenant_id, state, collection_id, names, digest, at) VALUES
  ('acme', 'done', 'c0ffee00-0000-4000-8000-000000000001', 'KEY', 'b77349bf1fa9b26d45d545d7d64dad96737e9cfbb3cbb5f5d10fb77b0fcc44ad', '2026-01-02 03:04:05.678901'),
  ('gone', 'withdrawn', NULL, '', '', '2026-03-01 00:00:00.000000');
