"""Check the tokens of an OpenID provider, and sign users in at the provider.

The tokens are JSON web tokens, which are checked with the keys that the provider publishes. PyJWT checks the signature,
the issuer, the audience and the times. Only signatures by keys of the provider are accepted (RSA, EC, EdDSA), so a
token that is signed with a public key, or not signed at all, is refused.

The keys are read again when they are old, and when a token names an unknown key, but at most once in some seconds. The
number of refused codes that are exchanged in this time is limited too. So strangers cannot make this server send many
requests to the provider.

A page signs users in by the authorization code flow. Three values protect this flow: `state` binds the provider's
answer to a browser, `nonce` binds a token to the sign-in, and PKCE binds a code to the client that asked for it. All
three are kept in the browser, in a cookie that scripts cannot read. Therefore any process can complete a sign-in that
another process has started.

Source: https://openid.net/specs/openid-connect-core-1_0.html,
https://openid.net/specs/openid-connect-discovery-1_0.html,
https://www.rfc-editor.org/rfc/rfc7636, https://www.rfc-editor.org/rfc/rfc8725.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import os
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import jwt
from jwt import PyJWK

from graphengine.addresses import request
from graphengine.errors import GraphEngineError, InputError
from graphengine.kernel.extension import is_tag, utf8_text
from graphengine.serve.callers import ALL, RIGHTS, Caller
from graphengine.serve.messages import NotAuthorized, RequestInvalid, is_same
from graphengine.serve.users import OIDC, rights_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.serve.users import Oidc

_LOG: Final = logging.getLogger("graphengine")
_KINDS: Final = ("RSA", "EC", "OKP")
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KEPT_SECONDS: Final = 3600.0
_AGAIN_SECONDS: Final = 10.0
_MOST_REFUSED: Final = 20
_READ_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_LEEWAY_SECONDS: Final = 30.0
_LONGEST_COOKIE: Final = 3_800
"""The maximum length of a token that is kept in a cookie.

Browsers drop cookies of more than 4,096 bytes, counting their names and attributes.
"""
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_WHERE: Final = "header Authorization"


class ProviderUnreachable(GraphEngineError):
    """The OpenID provider does not answer, or publishes nothing that can be used, so its tokens cannot be checked."""

    code = "provider_unreachable"


class Provider:
    """An OpenID provider: checks the tokens of its users, and signs users of the page in.

    Args:
        settings: The address of the provider, and the requirements on its tokens.

    Raises:
        InputError: The address of the issuer cannot be used.
    """

    def __init__(self, settings: Oidc) -> None:
        _check_address(settings.issuer)
        self.settings = settings
        self._about: Mapping[str, Any] = {}
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at = -math.inf
        self._trouble = ""
        self._reading = asyncio.Lock()
        self._counted_from = -math.inf
        self._refused = 0

    def secret(self) -> str:
        """Return the client secret that the provider gave to the inspector page; "" if the settings name no secret.

        Raises:
            InputError: The environment variable that should contain the secret is not set.
        """
        name = self.settings.secret_variable
        found = os.environ.get(name) if name else ""
        if found is None:
            repair = f"set {name}, or name another variable: graphengine users oidc --secret-variable NAME"
            raise InputError(f"the environment variable {name} is not set", where="users, oidc", repair=repair)
        return found

    async def caller_of(self, token: str) -> Caller:
        """Check the token of a user of the OpenID provider, and return the caller whom the token describes.

        Raises:
            NotAuthorized: The token is not valid here.
            ProviderUnreachable: The provider's keys cannot be read.
        """
        settings, claims = self.settings, await self._claims(token, self.settings.audience)
        name = _read_claim(claims, settings.name_claim)
        tenant = _read_claim(claims, settings.tenant_claim) if settings.tenant_claim else settings.tenant
        rights = _read_rights(claims, settings.rights_claim) if settings.rights_claim else settings.rights
        return Caller(OIDC + name, tenant, rights_of(rights, "users, oidc"), float(claims["exp"]) + _LEEWAY_SECONDS)

    async def way_in(self, back: str) -> tuple[str, str]:
        """Begin to sign a user in at the provider.

        Args:
            back: The address to which the provider sends the user back.

        Returns:
            The provider's address to which the browser is sent, and a text to keep in a cookie. The text contains the
            secrets of this sign-in, and `signed_in` needs it when the user comes back.

        Raises:
            ProviderUnreachable: The provider's description of itself cannot be read.
        """
        await self._refresh(is_known=bool(self._keys))
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": back,
            "scope": self.settings.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = self._endpoint("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", f"{state}.{nonce}.{verifier}"

    async def signed_in(self, given: Mapping[str, Any], kept: str, back: str) -> tuple[str, float]:
        """Complete the sign-in of a user who comes back from the provider: get the user's token, and check it.

        Args:
            given: The parameters of the address to which the user came back.
            kept: The text of the cookie, which `way_in` returned; "" if the browser has no such cookie.
            back: The address to which the user came back.

        Returns:
            The token, and the time until which it is valid, in epoch seconds.

        Raises:
            NotAuthorized: Another browser started the sign-in, the provider refused the user, or the tokens are not
                valid.
            ProviderUnreachable: The provider does not answer.
            RequestInvalid: The provider has refused too many codes in the last seconds.
            InputError: The secret of the page's client is missing.
        """
        state, _, rest = kept.partition(".")
        nonce, _, verifier = rest.partition(".")
        if not (state and verifier and is_same(str(given.get("state", "")), state)):
            raise NotAuthorized(
                "this sign-in was started in another browser, or has expired", repair="start the sign-in again"
            )
        code = given.get("code")
        if not isinstance(code, str) or not code:
            why = utf8_text(str(given.get("error") or "the provider sent no code"))
            text = f"{self.settings.issuer} refused the sign-in: {why[:100]}"
            raise NotAuthorized(text, repair="start the sign-in again")
        await self._refresh(is_known=bool(self._keys))
        secret = self.secret()
        self._count_code()
        found = await asyncio.to_thread(self._exchange_code, code, verifier, back, secret)
        self._refused -= 1
        own, other = (found.get(name) for name in ("id_token", "access_token"))
        claims = await self._claims(str(own), self.settings.client_id)
        if not is_same(str(claims.get("nonce", "")), nonce):
            raise NotAuthorized("the token was made for another sign-in", repair="start the sign-in again")
        token = str(own if self.settings.audience == self.settings.client_id else other)
        if len(token) > _LONGEST_COOKIE:
            repair = "configure the provider so that the token has fewer claims, such as groups"
            raise NotAuthorized(f"the token has {len(token)} characters, which do not fit a cookie", repair=repair)
        return token, (await self.caller_of(token)).until

    def _count_code(self) -> None:
        """Refuse to exchange an authorization code if too many codes were refused lately; otherwise count the code.

        The limit protects the provider from too many requests. A code counts as refused from the start of its exchange,
        so that exchanges in progress are limited, too. When the provider accepts the code, it is no longer counted.

        Raises:
            RequestInvalid: The provider has refused too many codes in the last seconds.
        """
        now = time.monotonic()
        if now - self._counted_from > _AGAIN_SECONDS:
            self._counted_from, self._refused = now, 0
        if self._refused >= _MOST_REFUSED:
            text = f"{self.settings.issuer} has refused {self._refused} codes in {_AGAIN_SECONDS:g} seconds"
            raise RequestInvalid(text, status=429, repair="wait some seconds, and start the sign-in again")
        self._refused += 1

    def _exchange_code(self, code: str, verifier: str, back: str, secret: str) -> Mapping[str, Any]:
        """Exchange an authorization code for the user's tokens at the provider. This method blocks.

        Raises:
            NotAuthorized: The provider refused the code.
            ProviderUnreachable: The provider does not answer, or its answer is not as expected.
        """
        own = self.settings
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        methods = self._about.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(own.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": own.client_id} | ({"client_secret": secret} if secret else {})
        try:
            return _fetch_json_object(self._endpoint("token_endpoint"), urlencode(form).encode(), headers)
        except _UnexpectedStatus as error:
            text = f"{own.issuer} gave no token for this sign-in, and answered with status {error.status}"
            raise NotAuthorized(
                text, repair="sign in again; a code can be used once, and only for a short time"
            ) from error
        except (OSError, ValueError) as error:
            text = f"{own.issuer} gave no token: {error}"
            raise ProviderUnreachable(text, where="users, oidc", repair="start the sign-in again") from error

    def _endpoint(self, name: str) -> str:
        """Return one of the addresses that the provider publishes in its description of itself.

        Args:
            name: The name of the address in the description, such as `authorization_endpoint`.

        Raises:
            ProviderUnreachable: The provider publishes no such address, or an address that cannot be used.
        """
        found = self._about.get(name)
        try:
            _check_address(str(found))
        except InputError as error:
            text = f"the {name} of {self.settings.issuer} cannot be used: {found}"
            raise ProviderUnreachable(text, where="users, oidc", repair=error.repair) from error
        return str(found)

    async def _claims(self, token: str, audience: str) -> Mapping[str, Any]:
        """Check that a token was issued by the provider for this server, and return the token's claims.

        Args:
            token: The token.
            audience: The audience that the token must name.

        Raises:
            NotAuthorized: The token is not valid.
            ProviderUnreachable: The provider's keys cannot be read.
        """
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=audience,
                issuer=self.settings.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            text = f"the token of {self.settings.issuer} is not valid here: {error}"
            raise NotAuthorized(text, where=_WHERE, repair="get a new token from the provider") from None
        return claims

    async def _key(self, kid: str) -> PyJWK:
        """Return the provider's key with the id that a token names. For the id "", return the provider's only key.

        If the provider's known keys do not include this key, the keys are read again.
        """
        await self._refresh(is_known=self._find_key_of(kid) is not None)
        key = self._find_key_of(kid)
        if key is None:
            raise jwt.InvalidTokenError(f"the provider has no key {kid!r}")
        return key

    async def _refresh(self, *, is_known: bool) -> None:
        """Read the provider's keys again if they are old, or if the key that is needed is not among them.

        Args:
            is_known: Whether the key that is needed has already been read. If not, the keys are read again even if they
                are not old, but at most once in a short time.

        Raises:
            ProviderUnreachable: The keys were never read successfully.
        """
        asked = time.monotonic()
        if not is_known or asked - self._read_at > _KEPT_SECONDS:
            async with self._reading:  # callers that lack a key wait for a read that another caller may have started
                if asked - self._read_at > (_KEPT_SECONDS if is_known else _AGAIN_SECONDS):
                    await self._read()
        if not self._keys:
            repair = "try again, or compare the issuer in the file of users with the issuer that the provider names"
            raise ProviderUnreachable(self._trouble, where="users, oidc", repair=repair)

    def _find_key_of(self, kid: str) -> PyJWK | None:
        only = next(iter(self._keys.values())) if not kid and len(self._keys) == 1 else None
        return self._keys.get(kid, only)

    async def _read(self) -> None:
        """Read the provider's description of itself and its keys.

        If that fails, the description and the keys that were read before stay in use.
        """
        self._read_at = time.monotonic()
        try:
            self._about, self._keys = await asyncio.to_thread(_fetch_published, self.settings.issuer)
        except (OSError, ValueError, InputError, jwt.PyJWTError) as error:
            self._trouble = f"the keys of {self.settings.issuer} cannot be read: {error}"
            _LOG.warning("%s; what was read before holds", self._trouble)


def _check_address(address: str) -> None:
    """Check that an address is safe for secrets: it uses https, or it is an address of this machine.

    Raises:
        InputError: The address uses http and belongs to another machine, or is not a web address.
    """
    parts = urlsplit(address)
    if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)):
        repair = "give an address that begins with https://, or with http:// for a provider on this machine"
        raise InputError(f"{address!r} cannot be the address of a provider", where="users, oidc", repair=repair)


def _fetch_published(issuer: str) -> tuple[Mapping[str, Any], Mapping[str, PyJWK]]:
    """Read a provider's description of itself, and the keys with which it signs tokens. This function blocks."""
    about = _fetch_json_object(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if about.get("issuer") != issuer:
        message = f"the configuration names another issuer, {about.get('issuer')!r}"
        raise ValueError(message)
    found = _fetch_json_object(str(about.get("jwks_uri"))).get("keys")
    keys = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    usable = [each for each in keys if each.get("kty") in _KINDS and each.get("use", "sig") == "sig"]
    known: dict[str, PyJWK] = {}
    for each in usable:
        with suppress(jwt.PyJWTError):  # a key of an unknown kind, with which no token here can be signed
            known[str(each.get("kid", ""))] = PyJWK(each)
    if not known:
        message = "the provider publishes no key of a supported kind for signatures"
        raise ValueError(message)
    return about, known


class _UnexpectedStatus(OSError):
    """Raised if an OpenID provider answers a request with a status other than 200."""

    def __init__(self, address: str, status: int) -> None:
        super().__init__(f"{address} answered {status}")
        self.status = status


def _fetch_json_object(address: str, form: bytes = b"", headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """Read the JSON object at a web address of the provider.

    Redirects are refused, because they could lead to an unencrypted address.
    """
    _check_address(address)
    method = "POST" if form else "GET"
    try:
        with closing(request(method, address, headers or {}, form, seconds=_READ_SECONDS, is_own=True)) as answer:
            if answer.status != HTTPStatus.OK:
                raise _UnexpectedStatus(address, answer.status)
            found = json.loads(answer.read(_MOST_BYTES))
    except HTTPException as error:
        message = f"the answer of {address} is not HTTP: {error}"
        raise OSError(message) from error
    if not isinstance(found, dict):
        message = f"the answer of {address} is not a JSON object"
        raise ValueError(message)
    return found


def _read_claim(claims: Mapping[str, Any], name: str) -> str:
    """Return the value of a claim of a token that must be a name, such as the claim with the name of the user.

    Raises:
        NotAuthorized: The token lacks the claim, or the claim is not a name.
    """
    found = claims.get(name)
    if not isinstance(found, str) or not is_tag(found):
        repair = "configure the provider to add the claim, or name another claim: graphengine users oidc"
        raise NotAuthorized(f"the token has no claim {name!r} that contains a name", where=_WHERE, repair=repair)
    return found


def _read_rights(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """Return the rights that a claim of a user's token names.

    The claim can also contain words that are no rights here, such as the user's roles in other systems. These words are
    ignored.
    """
    found = claims.get(name)
    words = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    plain = [str(word).removeprefix("graphengine:") for word in words]
    return [word for word in plain if word in (*RIGHTS, ALL)]


__all__ = ["Provider", "ProviderUnreachable"]
