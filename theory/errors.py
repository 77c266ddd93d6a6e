"""The errors that a user of the library is meant to read."""


class InputError(ValueError):
    """Bad input, told in one sentence that names what is wrong and where; the command line exits with status 2."""


class Unavailable(RuntimeError):
    """Something optional is missing (a package, a GPU): what needs it is skipped, with this reason."""
