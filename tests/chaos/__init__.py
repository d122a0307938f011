"""Crashes and crowds, on real servers."""
