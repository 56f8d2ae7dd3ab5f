"""The errors a user can cause. Each message is one line: what is wrong, where, and what to do."""


class SwinkitError(Exception):
    """Base of every error that swinkit raises on purpose; the command line prints its one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(SwinkitError):
    """A setting, or a combination of settings, that cannot work."""


class ImageError(SwinkitError):
    """An image that is missing, unreadable, or of a shape that the model cannot take."""


class DataError(SwinkitError):
    """A data set that is missing, empty, inconsistent, or too small for what was asked."""


class CheckpointError(SwinkitError):
    """A weight file that is missing, damaged, unsafe, of another family, or does not fit."""


class TrainingError(SwinkitError):
    """A training run that cannot start or cannot go on."""
