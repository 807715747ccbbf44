"""Files to captions, beside other ways."""
