"""Who may see and fetch what, in the words that a hub refuses with."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import msgspec

from rbee.testing.hub.origins import Exchange
from rbee.testing.hub.repositories import Commit, Repository, Shelf

NO_SUCH_REPOSITORY: Final = "Repository not found"


class Guests(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that the hub knows.

    Attributes:
        members: may do everything: they own private repositories and have accepted all terms.
        strangers: are good tokens that own nothing and have accepted nothing.
    """

    members: Container[str]
    strangers: Container[str]


def token_of(exchange: Exchange) -> str | None:
    """The token that came with a request."""
    return exchange.named().get("authorization", "").removeprefix("Bearer ") or None


def admit(exchange: Exchange, shelf: Shelf, guests: Guests, repo_id: str) -> Repository | None:
    """The repository, or None when the request has been answered: it is not there, or not for this client."""
    token = token_of(exchange)
    if not known(exchange, guests):
        return None
    repository = shelf.get(repo_id)
    if repository is None or (repository.about.private and (token is None or token not in guests.members)):
        # Whether a private repository exists is told to nobody else; without a token it is always 401.
        if token is None:
            exchange.refuse(401, "RepoNotFound", "Invalid username or password.")
        else:
            exchange.refuse(404, "RepoNotFound", NO_SUCH_REPOSITORY)
        return None
    return repository


def known(exchange: Exchange, guests: Guests) -> bool:
    """Whether a client has no token or a good one; any other has been answered."""
    token = token_of(exchange)
    if token is None or token in guests.members or token in guests.strangers:
        return True
    exchange.refuse(401, None, "Invalid credentials in Authorization header")
    return False


def past_gate(exchange: Exchange, repository: Repository, guests: Guests) -> bool:
    """Whether the client may have the files of a repository; one that may not has been answered."""
    token = token_of(exchange)
    if not repository.about.gated or (token is not None and token in guests.members):
        return True
    name = repository.repo_id
    if token is None:
        text = f"Access to model {name} is restricted. You must have access to it and be authenticated to access it."
        exchange.refuse(401, "GatedRepo", f"{text} Please log in.")
    else:
        text = f"Access to model {name} is restricted and you are not in the authorized list."
        exchange.refuse(403, "GatedRepo", f"{text} Visit {exchange.server.base}/{name} to ask for access.")
    return False


def commit_at(exchange: Exchange, repository: Repository, revision: str) -> Commit | None:
    """The commit, or None when the request has been answered."""
    commit = repository.at(revision)
    if commit is None:
        exchange.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit
