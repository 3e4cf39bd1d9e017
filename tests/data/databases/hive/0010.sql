-- Several hosts: whose jail it is, an order, a jail that was left behind.
UPDATE tenants SET host = 'jail-1' WHERE tenant_id = 'acme';
UPDATE hosts SET key_sha256 = 'fb1b291ae5bf3c417fe6aa43333512166f4250dede4297c993e135861e00b0bd';
UPDATE sweeps SET host = 'jail-1' WHERE finished_at IS NOT NULL;
UPDATE births SET order_id = '7c6e8c1cfc579aa385312e0ec0eab928' WHERE tenant_id = 'acme';
INSERT INTO birth_orders (number, tenant_id, audit_sequence) VALUES (2, 'acme', 1);
INSERT INTO left_jails (mark, tenant_id, host, left_at) VALUES ('360f84035942243c6a36537ae2f86734', 'acme', 'jail-2', '2026-01-02 03:04:05.678901');
