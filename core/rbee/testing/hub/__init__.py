"""A stand-in for a model hub: its HTTP API on loopback, with faults on demand and a count of everything.

It speaks what the hub's own Python library asks of it: models with their files, trees, branches, searches, and files
by ``/{org}/{name}/resolve/{revision}/{path}``.  `Hub` is the beginning; `rbee.testing.hub.samples` makes small
repositories of every form; ``python -m rbee.testing.hub FOLDER`` serves a folder of ``ORG/NAME/files`` by hand.
"""

from rbee.testing.hub.contents import Entry, Source
from rbee.testing.hub.faults import Fault
from rbee.testing.hub.hub import MEMBER, STRANGER, Hub
from rbee.testing.hub.ledger import Seen
from rbee.testing.hub.repositories import About, Commit

__all__ = ["MEMBER", "STRANGER", "About", "Commit", "Entry", "Fault", "Hub", "Seen", "Source"]
