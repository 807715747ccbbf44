"""Output formats: one module each, all made of the same records, all written whole or not at all."""
