"""Typed clients of the four programs."""

from rbee.clients.aliases import AliasesClient
from rbee.clients.beehives import BeehivesClient
from rbee.clients.certificates import CertificatesClient
from rbee.clients.credentials import Credentials
from rbee.clients.decisions import DecisionsClient
from rbee.clients.hive import HiveClient
from rbee.clients.jobs import JobsClient
from rbee.clients.lookup import QueenLookup
from rbee.clients.membership import Membership, backoff, jittered
from rbee.clients.queen import QueenClient
from rbee.clients.registry import RegistryClient
from rbee.clients.supervised import keep_running
from rbee.clients.transport import Transport
from rbee.clients.worker import WorkerClient

__all__ = [
    "AliasesClient",
    "BeehivesClient",
    "CertificatesClient",
    "Credentials",
    "DecisionsClient",
    "HiveClient",
    "JobsClient",
    "Membership",
    "QueenClient",
    "QueenLookup",
    "RegistryClient",
    "Transport",
    "WorkerClient",
    "backoff",
    "jittered",
    "keep_running",
]
