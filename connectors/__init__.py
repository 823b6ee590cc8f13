"""Connectors: one folder a channel. See gateway.connector for the contract."""
