"""The commands `evidence` and `verify`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Literal

from cyclopts import Parameter

from adapters.evidence import verify as verifier
from ops.console import Json, Tenant, out, print_json, system, why

Many = Parameter(consume_multiple=True, negative="")


def evidence(
    message: str,
    /,
    *,
    recipient: Annotated[tuple[int, ...], Many] = (),
    fields: Annotated[tuple[str, ...], Many] = (),
    at: int | None = None,
    language: Literal["en", "it", "nl", "sv"] = "en",
    to: Annotated[Path | None, Parameter(name="--out")] = None,
    include_shared: Annotated[bool, Parameter(negative="")] = False,
    reason: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Write the evidence pack of a message: everything that proves its story, in one file. The export is recorded.

    Args:
        message: the message's id.
        recipient: indexes of the recipients it is about; nobody else is shown. Default: all.
        fields: show only these fields (`subject`, `reference`, `artifact` for the originals …). Default: all that may be shown.
        at: the log's size at an earlier signed head; gives the pack as it was then.
        language: of the report.
        to: where to write it; default: evidence-MESSAGE-SIZE.asice here.
        include_shared: also originals that name others; needs --reason, which is recorded.
        reason: why others' data leaves.
    """
    from adapters.evidence.pack import Ask  # noqa: PLC0415  so that --help is quick
    from ops.evidence import desk  # noqa: PLC0415  as above

    with system() as s:
        whose = tenant or s.settings.tenant
        ask = Ask(
            tenant=whose,
            message=message,
            recipients=recipient or None,
            fields=fields,
            language=language,
            include_shared=include_shared,
            reason=why(s, whose, "evidence", reason),
        )
        pack = desk(s).issue(ask, at)
    path = to or Path(pack.name)
    path.write_bytes(pack.data)
    keys = [key.vkey() for key in pack.draft.keys]
    withheld = [o.withheld for o in pack.draft.originals if o.withheld]
    if json:
        print_json(
            {"path": str(path), "log_keys": keys, "tree_size": pack.draft.head.checkpoint.size, "withheld": withheld}
        )
        return
    out.print(
        f"Evidence of {len(pack.draft.events)} events, {len(pack.draft.originals) - len(withheld)} originals: {path}"
    )
    if withheld:
        out.print(
            f"{len(withheld)} originals stay out ({', '.join(sorted(set(withheld)))}); the pack's artifacts.json says which."
        )
    for key in keys:
        out.print(f"Log key (give it to the reader by another way): {key}", markup=False)
    out.print(f"Check it: delivery-ledger verify {quote(str(path))} --log-key {quote(keys[0])}", markup=False)


def verify(
    paths: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)],
    /,
    *,
    log_key: Annotated[tuple[str, ...], Many] = (),
    policy: Path | None = None,
    checkpoint: Path | None = None,
    consistency: Path | None = None,
    seal_root: Path | None = None,
    tsa_root: Path | None = None,
    json: Json = False,
) -> int:
    """Check evidence packs, reports, or exports of the log; needs no ledger. The same verifier lies in packs and reports as verify.py.

    Exit: 0 holds and is vouched for from elsewhere; 1 broken; 2 wrong command; 3 consistent in itself only.

    Args:
        paths: packs (.asice) and reports (.zip), folders they were unpacked to, or exports.
        log_key: the log's verifier key, or a file with it, from elsewhere than the pack.
        policy: a C2SP tlog-policy of logs and witnesses you trust.
        checkpoint: a checkpoint of the log that you kept.
        consistency: consistency proof between it and the pack's checkpoint.
        seal_root: root certificate of the operator's seal, from elsewhere.
        tsa_root: root certificate of the time-stamp authority, from elsewhere.
    """
    options = {
        "--policy": policy,
        "--checkpoint": checkpoint,
        "--consistency": consistency,
        "--seal-root": seal_root,
        "--tsa-root": tsa_root,
    }
    arguments = [f"--log-key={key}" for key in log_key] + [f"{name}={path}" for name, path in options.items() if path]
    return verifier.main([*arguments, *(["--json"] if json else []), "--", *map(str, paths)])
