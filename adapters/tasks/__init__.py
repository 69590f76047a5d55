"""Long work in the background: asked for, done by whoever leads, with progress, cancelling, results that expire, and restarts survived.

`contract` says what a kind of work is, `rows` is the side table, `files` seals what comes of it, `store` is where it is asked for and
fetched, `runner` does the work, `views` shows it to people. What each kind does is said elsewhere and put together in `ops`.
"""
