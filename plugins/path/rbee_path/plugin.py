"""The entry point."""

import os

from rbee.contract import Register, hookimpl

from rbee_path.availability import is_here
from rbee_path.engine import engine_of
from rbee_path.models import models_of
from rbee_path.reading import own_records, read_records, user_folder
from rbee_path.record import EngineRecord
from rbee_path.vendor import PathVendor

RBEE_CONTRACT = ">=0.1,<0.2"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add an engine a record, the models of those that can be joined, and the vendor that lists them.

    Of the package's own records only those that can be used here: what a machine does not have is no fault of it.
    """
    folder = user_folder(os.environ)
    own = own_records(folder)
    for record in read_records(folder):
        if record.name in own or (isinstance(record, EngineRecord) and is_here(record)):
            register.engine(engine_of(record))
        if isinstance(record, EngineRecord) and record.join is not None:
            register.model_vendor(models_of(f"path-{record.name}", record.formats[0]))
    register.worker_vendor(PathVendor)
