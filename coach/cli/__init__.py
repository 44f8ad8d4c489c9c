"""The command line. Besides `ui` the only package that shows anything; errors are one sentence and a hint."""

from coach.cli.commands import app, main

__all__ = ["app", "main"]
