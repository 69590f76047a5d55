"""Evidence packs: one file that proves what the ledger says of one message to a reader who trusts neither it nor us.

`pack` chooses and puts together, `trail` finds the events, `names` says whom an original names, `container` is the zip file, `report`
and `texts` are for people, `seal` is the operator's X.509 seal, and `verify` checks it all with Python's standard library alone. A
pack never vouches for itself: the keys inside are copies.
"""
