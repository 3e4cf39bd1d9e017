-- What was seen of the list of withdrawals.
UPDATE trust SET withdrawals = 12, withdrawals_head = 'b81bfa2c496fb85e6b2f50ce82998eae780c053c2816e24b9af0a41f300e8fdb';
