"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_local.vendor import LocalVendor

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the vendor."""
    register.model_vendor(LocalVendor)
