"""Where queen and registry are, for commands: by setting, by what runs in this home, by the registry."""

from __future__ import annotations

from rbee.cli.context import Context
from rbee.cli.exits import NotRunningError
from rbee.cli.loop import run_async
from rbee.cli.programs import ProgramFiles, ProgramName
from rbee.clients import Credentials, RegistryClient, Transport
from rbee.clients.who import REGISTRY
from rbee.contract.errors import AuthenticationError, RbeeError
from rbee.http.ports import url_of

_LOOKUP_S = 2.0


def registry_url(context: Context) -> str | None:
    """The registry's address: the setting ``registry.url``, else the registry of this home; None for neither."""
    return context.settings.registry.url or _of_this_home(context, "registry")


def expected_registry_url(context: Context) -> str | None:
    """Where a program started by itself looks for a registry: as `registry_url`, else at the usual port.

    One that is not there yet may come later; with ``registry.port = 0`` nobody can know where.
    """
    found = registry_url(context)
    port = context.settings.registry.port
    return found or (url_of("127.0.0.1", port) if port else None)


def usual_queen_url(context: Context) -> str | None:
    """Where a queen of this machine would be, if nothing is known of one; None when ``queen.port`` is 0."""
    port = context.settings.queen.port
    return url_of("127.0.0.1", port) if port else None


def find_queen(context: Context, *, of_colony: bool = True) -> str | None:
    """The queen's address: the setting ``queen.url``, else the queen of this home, else whom the registry names.

    Args:
        context: of the command.
        of_colony: whether the queen of a `rbee up` in this home counts.

    Raises:
        AuthenticationError: the registry refuses this home's token, or asks for one where there is none.
    """
    found = context.settings.queen.url or _of_this_home(context, "queen", of_colony=of_colony)
    if found is None:
        registry = registry_url(context)
        found = None if registry is None else run_async(_ask_registry(context, registry))
    return found


def queen_url(context: Context) -> str:
    """The queen's address.

    Raises:
        NotRunningError: there is none to be found.
        AuthenticationError: as `find_queen`.
    """
    found = find_queen(context)
    if found is None:
        raise NotRunningError("No colony is running. Start one: rbee up")
    return found


def _of_this_home(context: Context, program: ProgramName, *, of_colony: bool = True) -> str | None:
    record = ProgramFiles(context.folders, program).read()
    return record.url if record is not None and (of_colony or not record.colony) else None


def refused(context: Context, url: str, credentials: Credentials) -> AuthenticationError:
    """What to tell where a registry answers, and not to this home.

    Args:
        context: of the command.
        url: of the registry.
        credentials: that it was shown.
    """
    why = (
        f"There is no token in this home, and the registry at {url} asks for the colony's."
        if credentials.token is None
        else f"The token of this home is not that of the colony of the registry at {url}."
    )
    return AuthenticationError(f"{why} {context.copy_token}")


async def _ask_registry(context: Context, url: str) -> str | None:
    credentials = context.present_credentials()
    transport = Transport(url, credentials, REGISTRY, timeout_s=_LOOKUP_S)
    try:
        found = await RegistryClient(transport).queen()
    except AuthenticationError as error:
        # A colony runs, and is not for this home: to start another would be the wrong advice.
        raise refused(context, url, credentials) from error
    except RbeeError:
        # A registry that is away hides nothing that this machine could know.
        return None
    finally:
        await transport.close()
    return None if found is None else found.url
