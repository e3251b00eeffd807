"""The error that a person is meant to read."""


class MiaError(Exception):
    """Something went wrong that the user can understand and act on.

    The message names the file, the reason and the way out. The command line prints it and exits with 1; the terminal
    shows it in a notification. Anything that is not a `MiaError` is a defect of the program.
    """
