"""Says in a paragraph, in four languages, where a delivery is and how far that is proven; and step by step why.

The paragraph is for the sender's customer: a support agent pastes it. It is made of the sentences of one table (`sentences`), whose words
stand beside this file, one file a language. It is a pure function of the delivery, the language and the zone: no clock, no look-ups.
"""
