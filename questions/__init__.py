"""From a file or a hub data set to questions; which of them are used, and in which orders of their options."""
