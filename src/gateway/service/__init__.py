"""Thin asyncio services: they read, decide with the functional core, write, and send."""
