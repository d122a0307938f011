"""Measurements; each prints its ratio to a baseline of the same run. Run by make bench."""
