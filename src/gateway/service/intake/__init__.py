"""The way in: messages of all connectors are deduplicated, threaded, routed and committed in shared batches.

`intake` queues and commits · `prepare` makes ready what needs no store · `workspace` reads what a batch is decided on ·
`plan` decides one message (pure) · `write` turns plans into a batch.
"""

from gateway.service.intake.intake import Intake

__all__ = ["Intake"]
