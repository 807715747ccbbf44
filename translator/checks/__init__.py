"""Quality checks of translations, and what is done about those with issues."""
