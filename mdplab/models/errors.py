"""The error of a model that is no model."""

from theory.errors import InputError


class ModelError(InputError):
    """A model's numbers are wrong; one sentence names the state, the action and the number."""
