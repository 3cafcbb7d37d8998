"""Asking for a file: connections, proxies, redirects, and whom a secret is shown."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping

import urllib3
from urllib3.exceptions import HTTPError, ProxySchemeUnknown
from urllib3.util import Url, make_headers, parse_url

from rbee.contract.errors import UnreachableError
from rbee.contract.http_vendor import FileSource
from rbee.contract.transfer.addresses import MOST_REDIRECTS, next_address, origin, parsed, proxy_for
from rbee.contract.transfer.pace import Pace
from rbee.contract.transfer.patience import Patience
from rbee.contract.transfer.refusals import BrokenError, line_error
from rbee.contract.version import __version__

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OWN_HEADERS = (("User-Agent", f"rbee/{__version__}"), ("Accept-Encoding", "identity"), ("Accept", "*/*"))


class Answer:
    """What a server has answered; its body is still to be read.

    Args:
        response: of the last address.
        url: that address.
        patience: how fast its body must come.

    Attributes:
        host: that answered.
        path: of the address, without what follows a question mark: secrets stand there.
        status: of HTTP.
        headers: with names in lower case.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, url: Url, patience: Patience) -> None:
        self._response = response
        self._pace = Pace(patience)
        self._ended: str | None = None
        self.host = url.host or ""
        self.path = url.path or "/"
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    def read(self, most: int) -> bytes:
        """The next bytes, as soon as there are any; none at the end.

        Args:
            most: how many at most.

        Raises:
            BrokenError: the line was cut, nothing or too little comes, or `end` was called.
        """
        try:
            block = self._response.read1(most) or b""
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            # The last two come out of a connection that `end` has shut.
            raise self._broken() or line_error(self.host, error) from error
        if not block and (broken := self._broken()):
            # An end that was made here is not that of the body.
            raise broken
        self._pace.came(len(block))
        return block

    def is_slow(self) -> bool:
        """Whether too little has come for a while.  For one other thread than that which reads."""
        return self._pace.is_slow()

    def end(self, why: str) -> None:
        """End a read that another thread is waiting in.  From any thread; harmless when nobody is.

        Args:
            why: after the name of the host.
        """
        self._ended = self._ended or why
        try:
            self._response.shutdown()
        except (OSError, ValueError, RuntimeError):
            return

    def close(self) -> None:
        """Give the connection up; it is kept for the next question when all of the body was read."""
        self._response.close()

    def _broken(self) -> BrokenError | None:
        return None if self._ended is None else BrokenError(f"{self.host!r}: {self._ended}.")


class Session:
    """Connections for one piece of work; any thread may ask.

    Args:
        patience: limits of time.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._timeout = urllib3.Timeout(connect=patience.connect_s, read=patience.silence_s)
        self._managers: dict[tuple[str | None, bool, str | None], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def ask(self, source: FileSource, headers: Mapping[str, str], method: str = "GET") -> Answer:
        """Ask for a file and follow where that leads.  Blocks until the answer's headers are there.

        Args:
            source: where it is.
            headers: for every server on the way; those of `source` are for its origin alone.
            method: of HTTP.

        Returns:
            The answer; a redirect only when it leads nowhere.

        Raises:
            BrokenError: another try may help.
            UnreachableError: none will.
        """
        start = here = parsed(source.url)
        for turn in range(MOST_REDIRECTS + 1):
            secrets = dict(source.headers) if origin(here) == origin(start) else {}
            answer = self._ask_one(here, {**dict(_OWN_HEADERS), **secrets, **headers}, method, source)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location or turn == MOST_REDIRECTS:
                return answer
            answer.close()
            try:
                here = next_address(start, here, location, direct=source.direct)
            except OSError as error:
                raise BrokenError(f"{here.host!r} leads to a name that cannot be resolved.") from error
        raise AssertionError("the last turn returns")

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            managers = list(self._managers.values())
            self._managers.clear()
        for manager in managers:
            manager.clear()

    def _ask_one(self, url: Url, headers: Mapping[str, str], method: str, source: FileSource) -> Answer:
        host = url.host or ""
        proxy = None if source.direct else proxy_for(url)
        try:
            # Without what stands before an @: a password in an address is not for logs, and no server gets it either.
            response = self._manager(proxy, source, encrypted=url.scheme == "https").urlopen(
                method,
                url._replace(auth=None, fragment=None).url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )
        except (HTTPError, OSError, ValueError) as error:
            raise line_error(host, error) from error
        return Answer(response, url, self._patience)

    def _manager(self, proxy: str | None, source: FileSource, *, encrypted: bool) -> urllib3.PoolManager:
        own = encrypted and source.direct and source.trust is not None
        key = proxy, encrypted, source.server_name if own else None
        with self._lock:
            found = self._managers.get(key)
            if found is None:
                if own:
                    # Not `assert_hostname`, which would switch off the context's own check, for all who share it.
                    found = urllib3.PoolManager(ssl_context=source.trust, server_hostname=source.server_name)
                else:
                    found = _direct(encrypted) if proxy is None else _through(proxy)
                self._managers[key] = found
            return found


def _direct(encrypted: bool) -> urllib3.PoolManager:
    # Reading the system's certificates takes longer than fetching a small file.
    return urllib3.PoolManager(ssl_context=ssl.create_default_context() if encrypted else None)


def _through(proxy: str) -> urllib3.PoolManager:
    parts = parse_url(proxy)
    headers = make_headers(proxy_basic_auth=parts.auth) if parts.auth else None
    context = ssl.create_default_context()
    try:
        return urllib3.ProxyManager(
            parts._replace(auth=None).url, proxy_headers=headers, ssl_context=context, proxy_ssl_context=context
        )
    except (ProxySchemeUnknown, ValueError) as error:
        raise UnreachableError(
            f"This machine's settings name a proxy that is not one for HTTP ({parts.scheme}://{parts.host}); "
            "set https_proxy to one that is, or no_proxy."
        ) from error
