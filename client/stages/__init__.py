"""The stages of a run: each takes items of one type and gives those of later stages."""
