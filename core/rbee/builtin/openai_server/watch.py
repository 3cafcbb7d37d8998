"""Looks now and then whether a server is still there, and still the one that was added."""

from __future__ import annotations

import logging
import threading

from rbee.builtin.openai_server.asking import BusyServerError, served
from rbee.builtin.openai_server.connection import Connection
from rbee.builtin.openai_server.store import Connections
from rbee.contract.errors import ConfigurationError, EngineUnavailableError, NotFoundError

log = logging.getLogger(__name__)

EVERY_S = 10.0
AGAIN_S = 1.0
"""After a look that was in vain."""
_VAIN = 3
"""Looks in a row, all in vain, after which the server counts as gone."""


class Watch:
    """A thread of its own looks; asking for the result costs nothing.

    Args:
        connection: as it was when the worker started.
        model: that the server must have.
        connections: where the connection is kept.
        every_s: between two looks.
        again_s: between two looks while they are in vain.
    """

    def __init__(
        self,
        connection: Connection,
        model: str,
        connections: Connections,
        *,
        every_s: float = EVERY_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self.gone: str | None = None
        """Why the worker cannot stand for the server any longer; None while it can."""
        self._connection = connection
        self._model = model
        self._connections = connections
        self._every_s = every_s
        self._again_s = again_s
        self._closed = threading.Event()
        self._soon = threading.Event()
        # A server that answers slowly keeps no worker from leaving.
        self._thread = threading.Thread(target=self._work, name=f"watch {connection.name}", daemon=True)

    def start(self) -> None:
        """Begin to look, one pause from now."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; a look that is under way is not waited for."""
        self._closed.set()
        self._soon.set()

    @property
    def runs(self) -> bool:
        """It looks."""
        return self._thread.is_alive()

    def look_soon(self) -> None:
        """Something is wrong with an answer: do not wait for the pause to end.  From any thread."""
        self._soon.set()

    def _work(self) -> None:
        vain = 0
        while True:
            if vain:
                self._closed.wait(self._again_s)
            else:
                self._soon.wait(self._every_s)
            if self._closed.is_set():
                return
            self._soon.clear()
            why = self._changed()
            if why is None:
                why = self._trouble()
                vain = 0 if why is None else vain + 1
                if vain < _VAIN:
                    continue
            if self._closed.is_set():
                return
            log.error("this worker ends: %s", why)
            self.gone = why
            return

    def _changed(self) -> str | None:
        """Whether a person has decided otherwise meanwhile; that needs no second look."""
        name = self._connection.name
        try:
            now = self._connections.get(name)
        except NotFoundError:
            return f"the server {name!r} was removed"
        except ConfigurationError as error:
            log.warning("%s", error.message)
            return None
        except Exception:  # what is not known has not changed: the looks must go on
            log.exception("a look at what is kept of the server %r failed", name)
            return None
        before = self._connection
        same = (now.url, now.key, now.slots) == (before.url, before.key, before.slots)
        return None if same else f"the server {name!r} was added anew, with another address, key or number of slots"

    def _trouble(self) -> str | None:
        """What a look has shown; None when all is well."""
        try:
            models = {one.id for one in served(self._connection)}
        except BusyServerError:
            return None
        except EngineUnavailableError as error:
            return error.message
        except Exception as error:  # whatever a stranger's answer brings about: the looks must go on
            log.exception("a look at the server %r failed", self._connection.name)
            return f"a look at the server {self._connection.name!r} failed: {type(error).__name__}"
        if models and self._model not in models:
            return f"the server {self._connection.name!r} has no model {self._model!r} any more"
        return None
