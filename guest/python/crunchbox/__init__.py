"""Crunchbox's package for handlers in Python.

A handler needs none of it: ``lambda_handler(event, context)`` is found by its name, and ``logging`` goes to the log.
Import from here what a type checker or an ``except`` wants to name.
"""

from crunchbox.context import ConfigError, Context

__all__ = ["ConfigError", "Context"]
