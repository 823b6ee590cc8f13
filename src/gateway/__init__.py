"""Omnigate: an omnichannel message-routing gateway."""
