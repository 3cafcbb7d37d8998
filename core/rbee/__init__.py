"""rbee: one private LLM cloud from the machines you already own."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rbee.contract.version import __version__

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """The version, loaded when it is asked for: the command heeds Ctrl+C before it loads anything."""
    if name == "__version__":
        from rbee.contract.version import __version__ as version

        return version
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
