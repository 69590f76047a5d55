"""A page about a provider, and a table of all of them, in Markdown: what it can prove, how to set it up, what it says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.providers.describe import ProviderView, SettingView, WordView

SOURCES = "Sources: R the provider's own documentation, C a client's code, 3P a third party, CMP a comparable provider, A our assumption."
REACHED = ("delivered", "accepted_by_recipient")
"""Statuses of which the table of all providers tells the best grade."""


def page(view: ProviderView) -> str:
    """Everything about one provider."""
    return (
        "\n\n".join(
            [
                f"# {view.title}",
                _paragraphs(view.about),
                f"{view.documentation}. Word tables: `{view.mapping}`. {SOURCES}",
                "## What it can prove",
                f"Relied on: {view.relied_on}",
                _table(
                    ("channel", "status", "at best", "proven", "not proven"),
                    ((p.channel, p.status, p.grade, "; ".join(p.proven), "; ".join(p.not_proven)) for p in view.proves),
                ),
                *(_section("Setting it up", _setup(view))),
                *(_section("Settings", _fields(view.settings))),
                *(
                    _section(
                        "Credentials", _table(("name", "meaning"), ((f"`{s.name}`", s.meaning) for s in view.secrets))
                    )
                ),
                *(_section("Options of a send", _fields(view.options))),
                "## Operations",
                _table(
                    ("operation", "call", "use", "what for, or why not", "source"),
                    ((f"`{o.name}`", o.method, o.use, o.why, o.source) for o in view.operations),
                ),
                *(part for name, rows in view.tables.items() for part in _section(f"Words: {name}", _words(rows))),
                *(_section("Notes", _table(("note", "meaning"), ((f"`{n}`", text) for n, text in view.notes.items())))),
                *(_section("Quirks", "\n".join(f"- {_flat(quirk)}" for quirk in view.quirks))),
            ]
        )
        + "\n"
    )


def overview(views: Sequence[ProviderView]) -> str:
    """What each provider can prove at best, by channel."""
    rows = [
        (
            f"[{view.title}]({view.name}.md)",
            channel,
            *(_best(view, channel, status) for status in REACHED),
            view.relied_on,
        )
        for view in views
        for channel in dict.fromkeys(proof.channel for proof in view.proves)
    ]
    return f"# Providers\n\n{_table(('provider', 'channel', *REACHED, 'relied on'), rows)}\n"


def _best(view: ProviderView, channel: str, status: str) -> str:
    return next((p.grade for p in view.proves if (p.channel, p.status) == (channel, status)), "never said")


def _setup(view: ProviderView) -> str:
    """The commands that open an account; NAME is the reader's choice."""
    if not view.settings and not view.signed_operations:
        return ""
    needed = "".join(f" --set {s.name}=VALUE" for s in view.settings if not s.default)
    secrets = "".join(f" --secret {s.name}=@FILE" for s in view.secrets)
    lines = [f"delivery-ledger accounts add NAME --provider {view.name}"]
    lines += [f"delivery-ledger accounts configure NAME{needed}{secrets}"] if needed or secrets else []
    lines += ["delivery-ledger accounts rotate NAME --key-id ID --secret-file FILE"] if view.signed_operations else []
    lines += ["delivery-ledger accounts check NAME"]
    return "\n".join(["```", *lines, "```"])


def _fields(fields: Iterable[SettingView]) -> str:
    rows = [(f"`{f.name}`", f.allowed, f"`{f.default}`" if f.default else "must be set", f.meaning) for f in fields]
    return _table(("name", "may be", "default", "meaning"), rows)


def _words(rows: Iterable[WordView]) -> str:
    cells = ((f"`{w.word}`", w.meaning, w.type, w.finality, w.reason, w.retry, w.source, w.note) for w in rows)
    return _table(("word", "meaning", "our type", "finality", "reason", "retry", "source", "note"), cells)


def _section(title: str, text: str) -> tuple[str, ...]:
    return (f"## {title}", text) if text else ()


def _paragraphs(text: str) -> str:
    return "\n\n".join(_flat(paragraph) for paragraph in text.split("\n\n"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; "" without rows."""
    lines = [f"| {' | '.join(_flat(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines]) if lines else ""


def _flat(text: str) -> str:
    return " ".join(text.split())
