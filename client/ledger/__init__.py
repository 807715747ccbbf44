"""The SQLite ledger: what was asked and answered."""
