"""The conversation store: one contract (`contract`), two engines (`sqlite`, `mongo`).

Nothing above this package knows which engine runs.
"""
