"""Clips: moments of videos, cut out of them."""
