"""The servers that the client talks to, and how it waits for them."""
