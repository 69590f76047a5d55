"""The HTTP API: an adapter that translates between HTTP and the ledger, and decides nothing itself.

`routes` says what a route is; `table` lists the modules that hold them, nearly all as plain functions from a `Call` to an
`Answer`. `dispatch` is the only place that knows aiohttp's requests: it authenticates, reads, decodes, runs the function in a thread
and answers. `openapi` describes the same routes from the same types.
"""
