"""The HTTP edge, on real servers."""
