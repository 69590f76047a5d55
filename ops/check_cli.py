"""The commands `fsck` and `rebuild`: the log held against everything that is known of it, and what is folded from it made anew."""

from __future__ import annotations

from ops import show
from ops.console import Json, bar, operated, out, print_json, system
from ops.invoked import EXIT_WRONG


def fsck(*, record: bool = False, json: Json = False) -> int:
    """Hash every stored byte again and hold it against the tree, every head, every signed head, every value and every guard.

    Args:
        record: append the verdict to the log.
    """
    from ledger import fsck as checker  # noqa: PLC0415  so that --help is quick

    with system(fresh=False) as s, bar("checking", quiet=json) as progress:
        operated(s, "fsck")
        verdict = checker.check(s.ledger, s.heads, progress)
        unapplied = s.runner.unapplied()
        if record:
            checker.record(s.ledger, verdict)
    if json:
        print_json(
            {
                "size": verdict.size,
                "root": verdict.root,
                "heads": verdict.heads,
                "signed_heads": verdict.signed_heads,
                "values": verdict.values,
                "artifacts": verdict.artifacts,
                "problems": verdict.problems,
                "unapplied": unapplied,
            }
        )
    else:
        show.verdict(out, verdict, unapplied)
    return 0 if verdict.is_clean else EXIT_WRONG


def rebuild(*, json: Json = False) -> None:
    """Build every read model again from position 1 beside the live one, compare, then swap."""
    with system() as s:
        operated(s, "rebuild")
        s.runner.run()
        total = s.ledger.head().size
        with bar("rebuilding", quiet=json) as progress:
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                progress(done, total)

            rebuilt = s.runner.rebuild_all(progress=advance)
    print_json(rebuilt) if json else show.rebuilt(out, rebuilt)
