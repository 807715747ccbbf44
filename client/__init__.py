"""Babelview's client: asks a served model about folders of pictures and videos.

It needs nothing of the server but its address: the two meet over HTTP alone.

The way of a picture: `batch` -> `cli.run` (options, what is wrong for all files) -> `sources.gather` (names) ->
`pipeline`, which joins the stages -> `stages.Find` (`sources.fetch`, `media.load.identify`; `resume` says what is
missing of it) -> `media_stages.Load` (`media.loaders`: processes; in one of them `media.load` -> `media.image`) ->
`stages.Ask` (`checks.review` -> `endpoints.chat` -> `endpoints.retry` -> `endpoints.http`) -> `stages.Translate` ->
`ledger.writer`. A `job` is what a run knows of one content meanwhile, `items` go from stage to stage.
And out: `export.formats` -> `ledger.results` -> `record`, `timed_record` -> a module of `export`.
"""
