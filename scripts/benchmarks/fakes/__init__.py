"""Fake model endpoints: one for measuring the client, one whose behaviour a test decides."""
