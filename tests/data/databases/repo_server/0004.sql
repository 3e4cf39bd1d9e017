-- Two serials of a package repository, and a package larger than four gigabytes.
INSERT INTO package_serials (repo, serial, index_sha256, role_version, packages, signed_by, created_at, published_at) VALUES
  ('FreeBSD:14:amd64/latest', 1, 'd7a4ce0efd628435d47489826649c6e62b697995ecc17792afa87eda008c2951', 2, 35000, 'builder', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901'),
  ('FreeBSD:14:amd64/latest', 7, '96440297ab91c50a89ce175987c602ddbd505b44b8370a53cea2ef2757012e8d', 3, 35001, 'builder', '2026-01-02 03:04:05.678901', '2026-03-01 00:00:00.000000');
INSERT INTO package_digests (sha256, blake2b, size) VALUES ('bc4a71180870f7945155fbb02f4b0a2e3faa2a62d6d31b7039013055ed19869a', '961f5abee72893aeba10739111395d0e597bdd366bc24cca9206edea54c3f1095ca9cc90d5645e9ddb741df0170f0945164b90fe64147476cbd7176b11017ffc', 5000000000);
