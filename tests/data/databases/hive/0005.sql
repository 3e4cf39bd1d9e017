-- A gate that was approved and one entry that takes it back; a host and what it costs.
INSERT INTO gate_entries (gate, kind, title, sha256, location, subject, approver, reason, approved_at, expires_at, scope, revokes)
  VALUES
  ('price-settled', 'document', 'The price list', '43cc23fa52b87b4cc1d02b5b114154151d6adddb17c9fddc06b027fa99e24008', 'file:/srv/prices.pdf', '', 'olga', 'read it', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000',
   'paid', NULL),
  ('price-settled', 'revocation', '', NULL, '', '', 'olga', 'wrong list', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000', 'paid', 1);
INSERT INTO hosts (host, system, roles, capabilities, note, added_at) VALUES
  ('jail-1', 'FreeBSD 14.2', 'jails', 'womb', 'in the cellar', '2026-01-02 03:04:05.678901');
INSERT INTO host_costs (host, cents, currency, provenance, document_sha256, dated_at, "by", recorded_at) VALUES
  ('jail-1', 5000000000, 'EUR', 'invoice', '52d6e3de4fa0dcc29946695f93940c3e7f26f30e1e39f4b1a49ad98839112786', '2026-01-02 03:04:05.678901', 'olga', '2026-03-01 00:00:00.000000'),
  ('jail-1', 0, 'EUR', 'estimate', NULL, '2026-01-02 03:04:05.678901', 'olga', '2026-03-01 00:00:00.000000');
