"""The translation service: NLLB-200 or MADLAD-400 on CTranslate2, a sentence at a time, batched across requests.

The way of a sentence: `http` (`native`, `libretranslate` and `nllb_serve` read a request, `http.documents` takes HTML
and subtitles apart, `http.translate` looks up the languages) -> `text_translator` (`text.sentences` splits, `prepared`
keeps where, the engine cuts into tokens, `glossary` finds terms) -> `checks.review.Reviewer` ->
`batcher` (`cache`, `fair_queue`) -> `checks.review.with_checks` (the first check) around `model.engine` -> back to the
`Reviewer`, which tries again what has issues, asks for a `second_opinion` if there is one, and gives the verdict ->
`assembly` joins the sentences (`text.placement` puts tags and line breaks back) -> the same module of `http` answers
(`responses`). `service` runs all this, `loading` puts it together.
"""
