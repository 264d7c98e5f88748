"""The one exception that users meet, and those of its kind that the monitor knows by name."""


class SeedError(Exception):
    """A named failure: one sentence that says what is wrong, where, and what to do next.

    The command line prints it without a traceback and exits with status 1; so does a notebook's cell.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def gist(error: BaseException, n_lines: int = 1, width: int = 200) -> str:
    """What a library says in its first lines, as a part of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:n_lines])[:width].rstrip(".") or type(error).__name__


class TrainingFailure(SeedError):
    """A failure that ends a training by itself, under the name that the monitor gives it."""

    failure = "training failed"


class ImageTokensCut(TrainingFailure):
    """A prompt that holds fewer image tokens than its image has features."""

    failure = "image tokens truncated"


class GradientLost(TrainingFailure):
    """A loss that no trainable parameter has a part in."""

    failure = "gradient to the adapter is zero"
