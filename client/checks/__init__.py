"""Is it a caption? Quality checks of what a model answers, and what is done about answers with issues."""
