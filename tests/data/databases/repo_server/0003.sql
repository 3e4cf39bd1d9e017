-- Tokens: one in use, one that was revoked and never used.
INSERT INTO tokens (id, digest, name, scope, created_at, expires_at, revoked_at, last_used_at) VALUES
  ('t0ken1', 'fcae98a8ab484ace5534383c80314ec8502afa3b13c3866305cc459f422a89a9', 'alice', 'review', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000', NULL, '2026-01-02 03:04:05.678901'),
  ('t0ken2', '5010d8c01d37bc4017debfa2af7da3c0f12af40ad696ae3deff288e4acc6fee2', 'builder', 'publish-pkg:FreeBSD:14:amd64/latest', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000', '2026-01-02 03:04:05.678901', NULL);
