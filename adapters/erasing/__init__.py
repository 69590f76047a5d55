"""Erasing a person, or a message: who is meant, what goes and what stays, whether anything forbids it, and carrying it out.

What the log says was erased, and the destroying that follows from it, is `ledger.erasing`. Here it is decided: `spellings` tells whether
something names the person, `stories` what goes of the messages, `beside` what goes of everything else, `carrying` does it, and
`certificates` tells of it afterwards.
"""
