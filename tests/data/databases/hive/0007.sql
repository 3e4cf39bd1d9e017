-- A sweep that ended and one that was killed; what was found; what could not be done about it.
INSERT INTO sweeps (started_at, finished_at, tenants, findings) VALUES ('2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000', 3, 1), ('2026-03-01 00:00:00.000000', NULL, 0, 0);
INSERT INTO sweep_findings (tenant_id, kind, subject, detail, first_seen, last_seen, told_at, gone_at) VALUES
  ('acme', 'revoked', 'web-search==1.0', 'revoked: steals keys', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000'),
  ('acme', 'drift', 'skills/more', 'not of the lock', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000', NULL, NULL);
INSERT INTO sweep_failures (tenant_id, action, problem, tries, first_at, last_at, again_at) VALUES
  ('acme', 'stop-jail', 'the jail does not end', 3, '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000');
