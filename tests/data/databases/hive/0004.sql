-- An agent of a tenant and a lane, their tokens and capabilities; jobs of each sort, and a birth that an agent asked for.
INSERT INTO agents (agent_id, tenant_id, standing, reason, created_at, registered_at, seen_at, refusal, refused_at) VALUES
  ('acme', 'acme', 'admitted', '', '2026-01-02 03:04:05.678901', 1767323045.5, 1767323099.25, '', NULL),
  ('womb-1', NULL, 'quarantined', 'looks odd', '2026-01-02 03:04:05.678901', NULL, NULL, 'not granted', '2026-03-01 00:00:00.000000');
INSERT INTO agent_tokens (agent_id, generation, token_sha256, issued_at, revoked_at) VALUES
  ('acme', 3, 'b921a5eefb0eae28262198b5bb05637175145f968f58438a38f450912906195d', '2026-01-02 03:04:05.678901', NULL),
  ('womb-1', 1, 'f4d2f5e7bb0776f30c27523ed16e5e597dbd4c6e83824a6a56d7b7c2791a9fb1', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000');
INSERT INTO agent_grants (agent_id, capability) VALUES ('acme', 'mail'), ('womb-1', 'womb');
INSERT INTO agent_capabilities (agent_id, capability) VALUES ('acme', 'mail'), ('womb-1', 'womb');
INSERT INTO agent_skills (agent_id, name, version, tree_sha256) VALUES ('acme', 'web-search', '1.0', 'c146a4a6c97b8095bf5ae85a83eb6cb22c7aefeb458b73fa2506b14bbba11b58');
INSERT INTO agent_limits (agent_id, sort, value) VALUES ('womb-1', 'tier', 'paid');
INSERT INTO jobs (job_id, tenant_id, kind, payload, priority, state, reason, result, submitted_by, submitted_at, not_before,
  ended_at, attempts, max_attempts, refusals, owner, fence, lease_seconds, lease_until) VALUES
  ('5ba23c875f8cd6b695e6a994edbf8d85', 'acme', 'mail', '{"to":"ü"}', 0, 'done', '', '{"sent":1}', 'agent:acme', 1767323045.5, 0.0,
   1767323060.125, 1, 3, 0, 'acme', 5000000000, 60.0, NULL),
  ('7c6e8c1cfc579aa385312e0ec0eab928', 'acme', 'birth', '{"tenant":"gone"}', -9, 'held', '', NULL, 'agent:acme', 1767323045.5, 0.0,
   NULL, 0, 3, 0, NULL, 0, 60.0, NULL),
  ('0c0a3f0832797134626def352ef54777', NULL, 'render', '{}', 9, 'leased', '', NULL, 'operator:olga', 1767323045.5, 0.0,
   NULL, 1, 3, 0, 'womb-1', 1, 0.5, 1767323046.0);
INSERT INTO job_needs (number, capability) VALUES (1, 'mail'), (2, 'womb'), (3, 'render');
INSERT INTO job_attempts (number, fence, agent_id, claimed_at, ended_at, outcome, reason) VALUES
  (1, 5000000000, 'acme', 1767323046.0, 1767323060.125, 'completed', ''),
  (3, 1, 'womb-1', 1767323046.0, NULL, NULL, '');
INSERT INTO tenant_turns (turn, served_at) VALUES ('acme', 1767323046.0), ('', 1767323046.5);
INSERT INTO replications (number, parent, child, depth, approved_by) VALUES (2, 'acme', 'gone', 1, 'olga');
