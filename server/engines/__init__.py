"""One vLLM process, and what it needs on this machine."""
