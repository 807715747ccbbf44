"""Pictures and videos: found, recognised, and made into the few small JPEGs that a model looks at."""
