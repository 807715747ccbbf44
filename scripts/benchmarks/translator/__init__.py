"""The translation service."""
