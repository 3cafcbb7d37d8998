"""What rbee loads: the module that the entry point names."""

from rbee.contract import Register, hookimpl

from rbee_echo.engine import EchoEngine
from rbee_echo.vendor import EchoVendor

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the engine and the vendor of its models."""
    register.engine(EchoEngine)
    register.model_vendor(EchoVendor)
