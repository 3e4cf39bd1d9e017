-- The signed policy that a host saw last.
INSERT INTO signed_policy (host, demanded, serial, statement_sha256, file_sha256, signed_by, expires_at, verified_at) VALUES
  ('jail-1.example', TRUE, 5000000000, 'b111c6e1d318f203063e5c16bab43c108326af0aa2f7b65760c95547a43dbe52', '823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812', 'olga', '2026-03-01 00:00:00.000000', '2026-01-02 03:04:05.678901');
