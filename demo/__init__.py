"""The built-in demo: a tiny model made for one task, and how it was made."""
