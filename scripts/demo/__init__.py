"""The demo: sample ads, the tiny models and how they are trained and evaluated."""
