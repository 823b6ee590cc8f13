"""The way out: replies are kept as outbox entries with their message and sent by whichever node holds their shard."""
