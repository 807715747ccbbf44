"""Endpoints that answer at once."""
