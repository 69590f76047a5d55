"""What is done by the clock. What there is to do is derived from the accounts and their providers' clients; nothing is configured twice.

`board` derives the jobs and runs those that are due, `polling` says which messages are asked about and when, `ticks` holds the ledger's
own, and `rows` is the side table with when a job is next due and how it went. Who calls `Board.run_due`, and how often, is said in `ops`.
"""
