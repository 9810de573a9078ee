"""A cascade of finished runs, from cheap to dear, and an expert behind them: thresholds with a guarantee, and costs."""
