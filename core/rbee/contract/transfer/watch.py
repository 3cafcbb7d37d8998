"""Being cancelled, and losing patience, while the network keeps one waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rbee.contract.transfer.patience import Patience
from rbee.contract.transfer.refusals import BrokenError
from rbee.contract.transfer.session import Answer
from rbee.contract.vendor import CancelToken

_POLL_S = 0.05


class Watch:
    """Ends reads and leaves questions behind as soon as nobody wants their result any more, or they take too long.

    Args:
        cancel: says that nobody does.
        patience: what is too long.
    """

    def __init__(self, cancel: CancelToken, patience: Patience) -> None:
        self._cancel = cancel
        self._answer_s = patience.answer_s
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._thread = threading.Thread(target=self._run, name="rbee-transfer-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def asking(self, ask: Callable[[], Answer]) -> Answer:
        """The result of a question, asked in a thread of its own: nothing else can leave a connect that hangs.

        Raises:
            CancelledByCallerError: through the token; an answer that comes later is closed.
            BrokenError: there is none in time.
            Exception: whatever `ask` raises.
        """
        question = _Question(ask)
        threading.Thread(target=question.run, name="rbee-transfer-ask", daemon=True).start()
        end = time.monotonic() + self._answer_s
        while not question.over.wait(_POLL_S):
            if self._cancel.cancelled:
                break
            if time.monotonic() >= end:
                question.leave()
                raise BrokenError(f"The source of the file has not answered within {self._answer_s:g} seconds.")
        if self._cancel.cancelled:
            question.leave()
            self._cancel.raise_if_cancelled()
        return question.result()

    @contextmanager
    def reading(self, answer: Answer) -> Iterator[None]:
        """While this is entered, reads of the answer end when the work is cancelled or too little comes.

        It is closed afterwards.
        """
        with self._lock:
            self._answer = answer
        try:
            yield
        finally:
            with self._lock:
                self._answer = None
            answer.close()

    def _run(self) -> None:
        while not self._over.wait(_POLL_S):
            with self._lock:
                if self._answer is None:
                    continue
                if self._cancel.cancelled:
                    self._answer.end("the transfer was cancelled")
                elif self._answer.is_slow():
                    self._answer.end("too little comes from there")


class _Question:
    """A call in another thread that one may leave."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._left = False
        self._answer: Answer | None = None
        self._error: Exception | None = None
        self.over = threading.Event()

    def run(self) -> None:
        try:
            answer = self._ask()
        except Exception as error:
            self._error = error
        else:
            with self._lock:
                self._answer = answer
                if self._left:
                    answer.close()
        finally:
            self.over.set()

    def leave(self) -> None:
        with self._lock:
            self._left = True
            if self._answer is not None:
                self._answer.close()

    def result(self) -> Answer:
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise AssertionError("neither answer nor error")
        return self._answer
