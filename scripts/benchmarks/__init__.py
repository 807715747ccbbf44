"""Benchmarks; `python -m scripts.benchmarks` runs the short ones."""
