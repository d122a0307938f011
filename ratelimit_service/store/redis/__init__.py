"""Counters in Redis or Valkey, changed by the scripts in lua/ alone."""
