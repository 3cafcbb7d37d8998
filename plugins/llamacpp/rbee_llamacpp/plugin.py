"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_llamacpp.engine import LlamaCppEngine

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the engine."""
    register.engine(LlamaCppEngine)
