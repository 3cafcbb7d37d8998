"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_llamacpp.engine import LlamaCppEngine

RBEE_CONTRACT = ">=0.2,<0.3"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the engine."""
    register.engine(LlamaCppEngine)
