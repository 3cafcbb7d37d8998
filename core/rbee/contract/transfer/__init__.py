"""Files by HTTP: taken up again after whatever cut them off, verified while they come.

`fetch_files` brings the files of a variant into a folder, `read_range` reads a few bytes of a remote file, and
`find_size` asks how large one is.
"""

from rbee.contract.transfer.addresses import is_loopback
from rbee.contract.transfer.files import Fetched, fetch_files
from rbee.contract.transfer.patience import FOR_NEIGHBOURS, NEVER, PATIENCE, Patience
from rbee.contract.transfer.ranges import find_size, read_range

__all__ = [
    "FOR_NEIGHBOURS",
    "NEVER",
    "PATIENCE",
    "Fetched",
    "Patience",
    "fetch_files",
    "find_size",
    "is_loopback",
    "read_range",
]
