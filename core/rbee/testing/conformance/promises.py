"""What keeps a vendor from dropping a promise unnoticed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

_REASON = "__rbee_overrides_because__"


def overrides_promise(*, reason: str) -> Callable[[Test], Test]:
    """Mark a test method that replaces one of the kit's.

    Args:
        reason: why the promise cannot hold as the kit states it; read in review.

    Returns:
        A decorator that leaves the method as it is.

    Raises:
        ValueError: the reason is empty.
    """
    if not reason.strip():
        raise ValueError("an overridden promise needs a reason; write why the kit's test cannot hold")

    def mark(test: Test) -> Test:
        setattr(test, _REASON, reason)
        return test

    return mark


class Promises:
    """Base of every contract: remembers the kit's tests and refuses silent replacements.

    A class of the kit is declared with ``kit=True``; its test methods are promises to all its subclasses.

    Raises:
        TypeError: at the definition of a subclass that replaces a promise without `overrides_promise`.
    """

    __promises__: ClassVar[dict[str, object]] = {}

    def __init_subclass__(cls, *, kit: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        promised: dict[str, object] = {}
        for base in reversed(cls.__mro__[1:]):
            promised.update(vars(base).get("__promises__", {}))
        for name, promise in promised.items():
            # What pytest would find counts, so a mixin placed before the contract is caught as well.
            found = inspect.getattr_static(cls, name)
            if found is not promise and not hasattr(found, _REASON):
                raise TypeError(
                    f"{cls.__qualname__}.{name} replaces a promise of the conformance kit without saying "
                    f'why; rename it, or mark it with @overrides_promise(reason="...")'
                )
        own = {name: value for name, value in vars(cls).items() if kit and name.startswith("test_")}
        cls.__promises__ = {**promised, **own}
