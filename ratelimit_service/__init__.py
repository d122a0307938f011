"""Rate-limit and budget decisions for LLM and agent gateways."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("ratelimit-service")
