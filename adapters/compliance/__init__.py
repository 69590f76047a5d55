"""The compliance queries: named, documented, parameterised, versioned questions about one organisation's ledger.

`contract` says what a query is, `registry` lists them, `asking` answers one. Each other module holds queries that belong together. A query
reads one snapshot, counts what its header says it counts, and yields its rows one by one, so that a million of them need no memory.
"""
