"""What the gateway is about, as values: contacts, conversations, messages, queues, agents, deliveries, events.

All are frozen msgspec Structs. A `Document` is kept in the store under its id; `version` is the store's (0: not stored
yet). Times are UTC with millisecond precision, the finest that both store engines keep.
"""
