"""Captions over HTTP: the stages, tasks, checks and the translator of the batch, for one request; see its `app`."""
