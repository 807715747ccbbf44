"""Many files, long videos, many languages and tasks."""
