"""The HTTP edge: health, JSON, metrics and a view of the rules."""
