"""Babelview from Python: what the commands are made of; see docs/python.md."""
