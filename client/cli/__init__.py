"""The command line: the console script, options and settings, the run, its progress, screen and log, the dry run."""
