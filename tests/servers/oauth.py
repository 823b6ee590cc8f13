"""A small OAuth 2 provider: a token endpoint (RFC 6749, 6) and an introspection endpoint (RFC 7662) for Dovecot."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class OAuthProvider:
    """`tokens`: access token → user, while valid. `refresh`: refresh token → user. Runs in a thread."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.refresh: dict[str, str] = {}
        self.requests: list[dict[str, str]] = []
        """Forms that the token endpoint got."""
        self.extra: dict[str, Any] = {}
        """Added to the token endpoint's answers, such as refresh_token_expires_in."""
        self.lifetime = 3600
        self.status = 200
        """Other than 200: the token endpoint answers so, with a page of HTML."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                form = {key: values[0] for key, values in parse_qs(body).items()}
                self.answer(*provider._token(form))

            def do_GET(self) -> None:
                token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
                user = provider.tokens.get(token)
                self.answer(200, {"active": user is not None, **({"username": user} if user else {})})

            def answer(self, status: int, data: object) -> None:
                body = (data if isinstance(data, str) else json.dumps(data)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(data, str) else "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def _token(self, form: dict[str, str]) -> tuple[int, object]:
        self.requests.append(form)
        if self.status != 200:
            return self.status, "<html>out of order</html>"
        user = self.refresh.get(form.get("refresh_token", ""))
        if form.get("grant_type") != "refresh_token" or user is None:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        token = f"access-{len(self.requests)}-{user}"
        self.tokens[token] = user
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime, **self.extra}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
