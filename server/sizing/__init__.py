"""Does it fit: memory, GPUs, and what is checked before anything starts."""
