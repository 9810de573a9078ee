"""The built-in demo: a tiny model for one task, and how it was made."""
