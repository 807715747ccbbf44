"""What Babelview is measured beside."""
