"""The one exception that users meet."""


class SeedError(Exception):
    """A named failure: one sentence that says what is wrong, where, and what to do next.

    The command line prints it without a traceback and exits with status 1.
    """
