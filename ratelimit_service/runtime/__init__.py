"""The composition root: settings to a running service, and back to nothing."""
