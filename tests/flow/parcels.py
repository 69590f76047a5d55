"""A made-up carrier that is asked: about one parcel, and for its list; what jobs need to be tried."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from adapters.providers.calling import CallFailedError, Client, Desk, Request, Sweep, Watched
from adapters.providers.contract import Operation
from ledger.observations import Arrival, Observation, Reference, UnreadableError
from tests.flow import carrier

ON_ITS_WAY, THERE = b'{"state": "accepted"}', b'{"state": "delivered"}'
TYPES = {"accepted": "submission.accepted", "delivered": "content.consigned"}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the carrier's account: where it is, and whether its list is read."""

    base_url: str = "https://carrier.example"
    reads_list: bool = False


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """The state of a parcel, or a page of the list, which says nothing of any."""
    if arrival.operation == "list":
        return ()
    try:
        state = msgspec.json.decode(arrival.body, type=dict[str, str])["state"]
    except (msgspec.DecodeError, KeyError) as error:
        raise UnreadableError(str(error)) from error
    parcel = arrival.name.rpartition("/")[2]
    name = Reference("parcel", parcel)
    return (Observation(type=TYPES[state], references=(name,), code=state, identity=("parcel", parcel, state)),)


def poll(desk: Desk, watched: Watched) -> None:
    """One question for each parcel of a message."""
    for parcel in watched.references["parcel"]:
        request = Request(operation="find", method="GET", url=f"/find/{parcel}", may_send=False)
        answer = desk.call(request)
        if answer.status != 200:
            msg = f"GET /find/…: {answer.failure or answer.status}"
            raise CallFailedError(msg)
        desk.admit(request, answer)


def read_list(desk: Desk) -> None:
    """Three pages; the state says which comes next."""
    for page in range(desk.state.get("next", 0), 3):
        request = Request(operation="list", method="GET", url=f"/list/{page}", may_send=False)
        desk.admit(request, desk.call(request))
        desk.state["next"] = page + 1
    desk.state["next"] = 0


CLIENT = Client(
    settings=Settings, poll=poll, sweeps=(Sweep("list", 900, read_list, "reads the list", "reads_list"),), pace_s=0.0
)
PROVIDER = replace(
    carrier.PROVIDER,
    client=CLIENT,
    parse=parse,
    operations=(*carrier.PROVIDER.operations, Operation("list", "GET /list", "used", "a page", "A")),
)
