"""The entry point."""

import os

from rbee.contract import Register, hookimpl

from rbee_path.availability import program_of
from rbee_path.engine import engine_of
from rbee_path.models import models_of
from rbee_path.reading import read_records, shipped_records, user_folder
from rbee_path.record import EngineRecord
from rbee_path.vendor import PathVendor

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add an engine a record, the models of those that can be joined, and the vendor that lists them.

    Of the package's own records only those that may be of use here: whose program is on the PATH, or whose server may
    run without it.  Whether that one answers is asked when somebody wants to know, not by every program that starts.
    """
    shipped = shipped_records()
    for record in read_records(user_folder(os.environ)):
        if not isinstance(record, EngineRecord):
            register.engine(engine_of(record))
            continue
        optional = record in shipped
        if not optional or record.join is not None or program_of(record) is not None:
            register.engine(engine_of(record, optional=optional))
        if record.join is not None:
            register.model_vendor(models_of(f"path-{record.name}", record.formats[0]))
    register.worker_vendor(PathVendor)
