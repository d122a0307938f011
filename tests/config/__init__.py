"""Tests of ratelimit_service.config."""
