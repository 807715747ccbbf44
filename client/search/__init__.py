"""Finding files by what was said about them: an index beside the ledger, and what is like what."""
