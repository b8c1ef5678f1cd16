"""Programs, results and archive records as bytes: versioned, and never pickle."""
