"""The store on a MongoDB replica set, for any number of gateway nodes.

A batch is one transaction (majority, journaled); the feed is a change stream; leases expire by the server's clock.
"""
