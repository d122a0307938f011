"""What the documents say is run here."""
