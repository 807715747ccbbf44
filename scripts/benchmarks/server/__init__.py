"""The served models under load."""
