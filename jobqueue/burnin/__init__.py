"""A burn-in: a queue of its own on the user's share, whose workers are killed and stopped while it works."""
