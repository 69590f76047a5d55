"""Reports: the answer of any compliance query as a file, with a signed manifest that anybody can check offline.

`contract` says what a report is asked for with and what comes of it, `making` makes one. A module per format (`csv_`, `jsonl`, `xlsx`,
`pdf`) writes rows to a file in constant memory; `manifest` says what the files are and signs it; `texts` has the words in each
language. What a query counts is `adapters.compliance`'s business.
"""
