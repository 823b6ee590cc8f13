"""Time-based one-time codes (TOTP, RFC 6238)."""

from __future__ import annotations

from datetime import timedelta

import pyotp

from gateway.errors import Duplicate
from gateway.model.access import LoginThrottle
from gateway.model.document import Clock
from gateway.store.batch import Batch
from gateway.store.collection import THROTTLES
from gateway.store.contract import Store

STEP = timedelta(seconds=30)
ISSUER = "Omnigate"


class OneTimeCodes:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def new_secret(self, email: str) -> tuple[str, str]:
        """A secret and the `otpauth:` address that authenticator programs read as a QR code."""
        secret = pyotp.random_base32()
        return secret, pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)

    async def use(self, agent_id: str, secret: str, code: str) -> bool:
        """Whether the code is right now (one step early or late is), and was not used before (RFC 6238, 5.2)."""
        now = self._clock.now()
        totp = pyotp.TOTP(secret)
        for drift in (0, -1, 1):
            moment = now + drift * STEP
            if totp.verify(code, for_time=moment):
                batch = Batch()
                step = int(moment.timestamp()) // int(STEP.total_seconds())
                # Kept among the login counters, which are cleared by age like them.
                batch.insert(THROTTLES, LoginThrottle(id=f"otp/{agent_id}/{step}", at=now))
                try:
                    await self._store.commit(batch)
                except Duplicate:
                    return False
                return True
        return False


def is_secret(text: str) -> bool:
    """Whether the text can be a TOTP secret: base32 of at least 128 bits (RFC 4226, 4 R6)."""
    try:
        return len(pyotp.TOTP(text).byte_secret()) >= 16
    except ValueError:
        return False
