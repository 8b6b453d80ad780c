"""Keep a do-memory redb cache equal to its Turso/libSQL primary, and prove it."""

from __future__ import annotations

TYPE_CHECKING = False  # that of `typing` would be an import for each child that starts
if TYPE_CHECKING:
    __version__: str

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """The version is said by the native module, which a console loads only after its first paint."""
    if name == "__version__":
        from storage_sync._native import VERSION

        return VERSION
    raise AttributeError(name)
