"""Engines on a Ray cluster: each in an actor, on whichever machine has room for it."""
