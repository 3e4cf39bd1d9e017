-- Packages: a serial above what 32 bits hold, a receipt of five gigabytes, and a step with a name that is longer since.
INSERT INTO seen_serials (repo, repository, serial) VALUES ('FreeBSD:14:amd64/latest', 'pkg.clawdie.si', 5000000000);
INSERT INTO package_receipts (tenant_id, name, version, sha256, size, repo, serial, way, jail, omitted, record_sha256, at) VALUES
  ('acme', 'nginx', '1.26.2,3', '5be1ecc7935f1dd85635d4feedaf660594030253cc97c9e9ca3819ffeac36b65', 5000000000, 'FreeBSD:14:amd64/latest', 5000000000, 'stream', '/jails/acme/root', '',
   '70ce871f8a3d3fb449bc3c3ace6547cef02dfc74ffe48d912532a724bfdbe5b9', '2026-01-02 03:04:05.678901'),
  ('acme', 'pkg', '2.0.1', 'e0ce1a7f3f76d7bfda0ffdae6e0226aa63b3009c4c4a770c321876aecad0a6c1', 4096, 'FreeBSD:14:amd64/latest', 5000000000, 'unpack', '/jails/acme/root', 'man', NULL, '2026-01-02 03:04:05.678901');
INSERT INTO birth_steps (tenant_id, name, state, at) VALUES ('acme', 'package nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn', 'done', '2026-01-02 03:04:05.678901');
