"""Black-box checks of running programs, for `rbee conformance`; classes are for `rbee.testing.conformance`.

It stands below the command line, since a user without test tools runs it, and beside the programs, of which it knows
nothing but their wire types.
"""

from rbee.conformance.checks import Check, Outcome
from rbee.conformance.client import Http
from rbee.conformance.report import as_json_bytes, as_junit
from rbee.conformance.runner import Report, run
from rbee.conformance.subject import Limits, Subject
from rbee.conformance.worker import CHECKS

__all__ = ["CHECKS", "Check", "Http", "Limits", "Outcome", "Report", "Subject", "as_json_bytes", "as_junit", "run"]
