"""Training of the demo models: tiny, but of the real architectures, and right about the drawn world."""
