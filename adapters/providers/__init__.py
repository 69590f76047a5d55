"""The registry of providers: every folder here that offers a `PROVIDER`."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from adapters.providers.contract import Provider


@functools.cache
def registry() -> dict[str, Provider]:
    """All providers by name, in alphabetical order."""
    folders = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg)
    found = (importlib.import_module(f"{__name__}.{name}").PROVIDER for name in folders)
    return {provider.name: provider for provider in found}
