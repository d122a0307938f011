"""Where counters live: one protocol, in memory or in Redis and Valkey."""
