"""What a user of the command line meets: options, screen, progress, dry run."""
