"""An OpenID provider on this machine: it signs in whoever comes, at once, and its tokens are signed.

It publishes the key that it signs with, and the next one.
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from graphengine.serve.users import Oidc, UsersFile, write_users

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEXT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SECRET = "the secret of the page"  # noqa: S105 - of no real client


class Provider:
    """What the provider is, and was asked.

    Attributes:
        issuer: Its address.
        claims: What its tokens say besides the usual.
        codes: The requests by the codes that were given for them; a code holds once.
        logins: How clients who brought a code said who they are.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.claims: dict[str, Any] = {"sub": "ada"}
        self.codes: dict[str, dict[str, str]] = {}
        self.logins: list[str] = []
        self.pages: dict[str, Any] = {
            "/keys": {"keys": [_published(NEXT_KEY, "two"), _published(KEY, "one")]},
            "/.well-known/openid-configuration": {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/keys",
                "authorization_endpoint": f"{issuer}/authorize?realm=a",
                "token_endpoint": f"{issuer}/token",
            },
        }

    def token(self, **more: Any) -> str:
        """Return a token."""
        claims = {"iss": self.issuer, "aud": "page", "exp": time.time() + 60, **self.claims, **more}
        return jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "one"})

    def back(self, address: str) -> str:
        """Return the address to which a user is led back who was sent to this one."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def given_for(self, form: dict[str, str], login: str) -> dict[str, Any] | None:
        """Return the tokens for a code; None if it does not hold, or another client has it."""
        self.logins.append(login)
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        pair = base64.b64encode(f"page:{SECRET.replace(' ', '+')}".encode()).decode()
        if asked is None or login != f"Basic {pair}":
            return None
        if (challenge, form["redirect_uri"]) != (asked["code_challenge"], asked["redirect_uri"]):
            return None
        nonce = self.claims.get("nonce", asked["nonce"])
        return {"id_token": self.token(nonce=nonce), "access_token": self.token(aud="api"), "token_type": "Bearer"}


def _published(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    public: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return public | {"kid": kid, "use": "sig"}


@contextmanager
def provided(users: Path | None = None) -> Iterator[Provider]:
    """Serve a provider, and name it in a file of users: its tokens are for the page itself."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, document: object = None, **headers: str) -> None:
            """Send an answer."""
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            """Answer with a page, or lead a user back."""
            if self.path.startswith("/authorize?"):
                return self.answer(302, Location=found.back(self.path))
            return self.answer(200, found.pages[self.path])

        def do_POST(self) -> None:
            """Give tokens for a code."""
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            tokens = found.given_for(form, self.headers.get("Authorization", ""))
            self.answer(400, {"error": "invalid_grant"}) if tokens is None else self.answer(200, tokens)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    if users is not None:
        oidc = Oidc(found.issuer, "page", rights=["read"], client_id="page", secret_variable="PAGE_SECRET")  # noqa: S106
        write_users(users, UsersFile([], oidc))
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
