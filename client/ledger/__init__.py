"""The SQLite ledger: what was asked and answered, and what results are made of.

In, during a run: `events` -> `writer` (many in one transaction) -> `ledger` -> `changes` (SQL); `schema` (tables).
Back, for the next run: `rows` -> `client.resume`, which decides what is missing.
Out: `results` reads a folder's ledger, with `topics` (which tasks and questions there are) and `newest` (which answer
stands) -> `client.record` -> `client.export`.
"""
