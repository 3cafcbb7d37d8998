"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_exllamav2.v2 import ExLlamaV2Engine
from rbee_exllamav2.v3 import ExLlamaV3Engine

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add both engines."""
    register.engine(ExLlamaV2Engine)
    register.engine(ExLlamaV3Engine)
