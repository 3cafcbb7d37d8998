"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_llamacpp.engine import LlamaCppEngine

RBEE_CONTRACT = ">=0.1,<0.2"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the engine."""
    register.engine(LlamaCppEngine)
