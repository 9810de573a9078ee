"""Records become numbers: columns, metrics, comparisons, thresholds. No model, no torch."""
