"""Quality checks of translations."""
