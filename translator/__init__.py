"""The translation service: NLLB-200 on CTranslate2, one sentence at a time, batched across requests.

The way of a sentence: `http` (`native`, `libretranslate` and `nllb_serve` read a request, `http.translate` looks up the
languages) -> `text_translator` (`text.sentences` splits, the engine cuts into tokens) -> `checks.review.Reviewer` ->
`batcher` (`cache`, `fair_queue`) -> `checks.review.with_checks` (the first check) around `model.engine` -> back to the
`Reviewer`, which tries again what has issues and gives the verdict -> `text_translator` joins the sentences -> the same
module of `http` answers (`responses`). `service` runs all this, `loading` puts it together.
"""
