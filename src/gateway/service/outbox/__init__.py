"""The way out: replies are kept as outbox entries with their message and sent by whichever node holds their shard.

`entry`, `status` and `retry` are pure: a new entry, what receipts do to it, what becomes of it after an attempt ·
`ledger` writes · `work` does what is to be done to one entry · `line` is the way out of one inbox · `shards` says
which inboxes are this node's · `outbox` runs it all · `receipts` takes in providers' reports · `outbound_feed` is for
apps that poll.
"""

from gateway.service.outbox.outbox import Outbox

__all__ = ["Outbox"]
