"""What the commands of ``rbee plugin`` say in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

RESTART = "Programs that run already go on as before. To have it there too, start them anew: rbee down && rbee up"
STAYS = "Programs that run already go on with it. To be rid of it there too, start them anew: rbee down && rbee up"


def brings(registered: Mapping[str, Sequence[str]]) -> str:
    """What a plugin has registered, by kind."""
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in registered.items()) or "nothing but hooks"
