"""The wheel that users install."""
