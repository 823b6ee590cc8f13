"""The embedded engine: SQLite through the standard library.

One thread writes, in groups (`writer`); two read beside it (`reader`); a second file holds the search index, with a
writer of its own, so that building it never holds up a commit (`search`).
"""
