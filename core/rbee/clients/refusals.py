"""What another program refuses us for who we are: told once, as only a person can mend it."""

from __future__ import annotations

from rbee.contract.errors import AuthenticationError, PermissionDeniedError, RbeeError


class Refusals:
    """Remembers what was told, so that it is not told with every try."""

    def __init__(self) -> None:
        self._told: str | None = None

    def is_news(self, error: RbeeError) -> bool:
        """Whether it is a refusal that has not been told yet; it passes for told from now on."""
        if not isinstance(error, AuthenticationError | PermissionDeniedError) or error.message == self._told:
            return False
        self._told = error.message
        return True

    def accepted(self) -> None:
        """We were let in: the next refusal is news again."""
        self._told = None
