-- A certificate and what it rests on; a checkpoint of the log.
INSERT INTO birth_evidence (tenant_id, lock_sha256, evidence, at) VALUES ('acme', '0c030586945fe504b604ecc2e875c38ede400cd5cd73da9730302162e6b02c6f', x'7b7d', '2026-01-02 03:04:05.678901');
INSERT INTO certificates (tenant_id, sha256, certificate, at) VALUES ('acme', '03d66dd08835c1ca3f128cceacd1f31ac94163096b20f445ae84285bc0832d72', x'00ff', '2026-01-02 03:04:05.678901');
INSERT INTO checkpoints (sequence, digest, envelope, at) VALUES (3, '2421363a6fffe94d516fafec1afaa71701ab1ab06545a41f994d057317ed7d35', x'7b7d', '2026-01-02 03:04:05.678901');
