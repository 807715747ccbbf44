"""Batches on a Ray cluster: what is lost when machines and drivers are killed, and what Ray costs."""
