"""Tests of ratelimit_service.cli."""
