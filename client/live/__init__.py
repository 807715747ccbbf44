"""What a camera or a stream shows, asked about while it goes on; see docs/live.md."""
