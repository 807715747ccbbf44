"""Developer scripts: the demo, benchmarks, set-up. Run from the root of the repository."""
