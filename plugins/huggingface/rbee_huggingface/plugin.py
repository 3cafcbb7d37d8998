"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_huggingface.vendor import HuggingFaceVendor

RBEE_CONTRACT = ">=0.1,<0.2"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the vendor."""
    register.model_vendor(HuggingFaceVendor)
