"""``python -m mdplab`` is the command line."""

from mdplab.cli import app

app()
