"""A file or a data set of the hub becomes questions; which of them are used, and in which orders of their options."""
