"""Where `--compare` leaves its result: folders beside the runs."""
COMPARISON_FILE = "comparison.json"
COMPARISON_PAGE = "comparison.html"
COMPARISON_FOLDERS = "comparison-*"
