"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_huggingface.vendor import HuggingFaceVendor

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the vendor."""
    register.model_vendor(HuggingFaceVendor)
