"""Many machines: the pipeline in actors of Ray Data, its answers in an object store.

`driver` starts Ray and counts; `listing` gives blocks of sources; `worker` takes each through the stages of
`client.pipeline`, with a `journal` in the place of the ledger; `compaction` makes Parquet of that in the end. `shared`
is one actor more, which keeps the `limits` of endpoints and the `notes` for the user.
`local_copy` makes a ledger of either, which export, report and search read. `objects` is where all of it lies, `rows`
how the ledger's rows are written there.
"""
