"""The command `providers`: what each provider can prove, how it is set up and what it says, from the tables the code runs on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App
from rich.markdown import Markdown

from ledger.errors import NotFoundError
from ops import show as showing
from ops.console import Json, out, print_json

if TYPE_CHECKING:
    from adapters.providers.describe import ProviderView

providers = App(name="providers", help="What each provider can prove, how it is set up, and all its words.")


def _views(name: str = "") -> list[ProviderView]:
    from adapters.providers import registry  # noqa: PLC0415  so that --help is quick
    from adapters.providers.describe import describe  # noqa: PLC0415

    if name and name not in registry():
        msg = f"there is no provider {name!r}; there are {', '.join(registry())}"
        raise NotFoundError(msg)
    return [describe(p) for p in registry().values() if name in {"", p.name}]


@providers.default
def list_(name: str = "", /, *, json: Json = False) -> None:
    """All providers, a line each; with a name, that one in full.

    Args:
        name: one provider; without it all.
    """
    if name:
        show(name, json=json)
        return
    found = _views()
    print_json(found) if json else showing.providers(out, found)


@providers.command
def show(name: str, /, *, markdown: bool = False, json: Json = False) -> None:
    """One provider in full: what it can prove, the commands that set it up, settings, credentials, operations, words, quirks.

    Args:
        markdown: as a page to be kept.
    """
    from adapters.providers.page import page  # noqa: PLC0415  so that --help is quick

    (view,) = _views(name)
    if json:
        print_json(view)
    elif markdown:
        sys.stdout.write(page(view))
    else:
        out.print(Markdown(page(view)))


@providers.command
def pages(folder: Path, /) -> None:
    """Write a page for each provider, and a table of what each can prove.

    Args:
        folder: where they go; pages of the same names are replaced.
    """
    from adapters.providers.page import overview, page  # noqa: PLC0415  so that --help is quick

    found = _views()
    folder.mkdir(parents=True, exist_ok=True)
    for view in found:
        (folder / f"{view.name}.md").write_text(page(view), encoding="utf-8")
    (folder / "README.md").write_text(overview(found), encoding="utf-8")
    out.print(f"{len(found) + 1} pages are in {folder}.", markup=False)
