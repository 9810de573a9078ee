"""Finished runs side by side: paired differences on the questions that they share."""
