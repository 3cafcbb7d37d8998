"""What libraries say that nobody has asked for."""

from __future__ import annotations

import logging

_CHATTY = ("httpx2", "httpcore2", "uvicorn", "aiosqlite", "alembic", "asyncssh")


def configure_logging(level: int | str) -> None:
    """Have this process log to stderr from a level on, and libraries that log each step only what is wrong."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
