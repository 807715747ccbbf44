"""Output formats: one module each, all made of the same records."""
