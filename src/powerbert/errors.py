"""Errors whose message alone tells a user what was wrong, where, and what to do."""


class UserError(Exception):
    """Something the user can put right; printed without a traceback, exit status 1."""


class ConfigError(UserError):
    """A value of the configuration that cannot be meant; its message begins with the key."""


class DataError(UserError):
    """A dataset that cannot be read; its message names file and row."""


class ModelError(UserError):
    """A model or artifact folder that cannot be loaded; its message names the folder."""


def find_user_error(error: BaseException | None) -> UserError | None:
    """The user's error in a chain of causes: Hydra wraps what the things it instantiates raise.

    Args:
        error: as it was caught.

    Returns:
        The first `UserError` of the chain, or None.
    """
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error
