"""What the queen can be asked to do: the handlers of her jobs, one module a subject."""

from rbee.queen.operations.aliased import aliased
from rbee.queen.operations.bench import Benching
from rbee.queen.operations.checks import QueenChecks
from rbee.queen.operations.forwards import Forwards
from rbee.queen.operations.infer import Inference
from rbee.queen.operations.loading import Loading
from rbee.queen.operations.machines import Machines
from rbee.queen.operations.models import Models
from rbee.queen.operations.operations import Operations
from rbee.queen.operations.remote_hives import RemoteHives

__all__ = [
    "Benching",
    "Forwards",
    "Inference",
    "Loading",
    "Machines",
    "Models",
    "Operations",
    "QueenChecks",
    "RemoteHives",
    "aliased",
]
