"""The NLLB model on CTranslate2, and where it comes from."""
