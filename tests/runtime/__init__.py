"""The composition root, mostly as a process seen from outside."""
