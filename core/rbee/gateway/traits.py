"""What of a request decides among workers that would all do, and who comes first."""

from __future__ import annotations

import msgspec


class Traits(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a dispatcher may know of a request besides its route.

    Attributes:
        key: tells those apart who share what there is: a digest of the key that the client sent, empty for none.
        batch: nobody waits for the first token; interactive requests go before.
        session: to which the client says that it belongs; None when it does not say.
        prompt_tokens: roughly, by the length of the body; None when there is no prompt in it.
        max_tokens: most tokens of the answer, as asked; None when not.
        keep_alive_s: how long the model is to stay loaded after it, as asked: -1 for ever, 0 not at all; None when not.
        blocks: of the prompt's leading bytes, a hash of each and all before it.  Two requests with equal blocks begin
            alike.
    """

    key: str = ""
    batch: bool = False
    session: str | None = None
    prompt_tokens: int | None = None
    max_tokens: int | None = None
    keep_alive_s: float | None = None
    blocks: tuple[int, ...] = ()


NO_TRAITS = Traits()
