"""Rule files and settings: read, checked and watched."""
