"""What is asked: tasks, prompts, and how answers are read."""
