"""What rbee loads: the module that the entry point names."""

from rbee.contract import Register, hookimpl

from rbee_example.engine import ExampleEngine
from rbee_example.probe import ExampleProbe
from rbee_example.vendor import ExampleVendor

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add what this plugin brings."""
    register.engine(ExampleEngine)
    register.model_vendor(ExampleVendor)
    register.probe(ExampleProbe)
