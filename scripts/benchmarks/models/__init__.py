"""Models to measure with."""
