"""The translation service: NLLB-200 on CTranslate2, one sentence at a time, batched across requests."""
