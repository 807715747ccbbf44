"""Texts taken apart into what is translated and what is not."""
