"""Contacts: the people who write. Found, kept, merged and parted again, handed out, and forgotten."""

from __future__ import annotations

from gateway.service.contacts.contacts import ContactFields, Contacts
from gateway.service.contacts.erase import Erasing
from gateway.service.contacts.merge import Merging

__all__ = ["ContactFields", "Contacts", "Erasing", "Merging"]
