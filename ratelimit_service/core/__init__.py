"""The decision itself: pure functions over frozen values, no I/O and no clock."""
