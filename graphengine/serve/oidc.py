"""The tokens of an OpenID provider: JSON web tokens, checked with the keys that it publishes.

PyJWT checks signature, issuer, audience and times. Only signatures by keys of the provider are known (RSA, EC, EdDSA),
so that nobody can sign with a public key, or not at all. The keys are read again once they are old, and when a token
names an unknown one, but some seconds after the last time at the soonest: no stranger makes us ask the provider often.

Source: https://openid.net/specs/openid-connect-discovery-1_0.html, https://www.rfc-editor.org/rfc/rfc8725.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import jwt
from jwt import PyJWK

from graphengine.addresses import request
from graphengine.kernel import GraphEngineError, InputError
from graphengine.kernel.definitions import is_tag
from graphengine.serve.callers import ALL, RIGHTS, Caller
from graphengine.serve.messages import NotAuthorized
from graphengine.serve.users import OIDC, rights_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.serve.users import Oidc

_LOG: Final = logging.getLogger("graphengine")
_KINDS: Final = ("RSA", "EC", "OKP")
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KEPT_SECONDS: Final = 3600.0
_AGAIN_SECONDS: Final = 10.0
_READ_SECONDS: Final = 5.0
_MOST_BYTES: Final = 1 << 20
_LEEWAY_SECONDS: Final = 30.0
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_WHERE: Final = "header Authorization"


class ProviderUnreachable(GraphEngineError):
    """The keys of the OpenID provider cannot be read."""

    code = "provider_unreachable"


class Provider:
    """An OpenID provider.

    Args:
        settings: Which one, and what its tokens must say.

    Raises:
        InputError: The address of the issuer cannot be used.
    """

    def __init__(self, settings: Oidc) -> None:
        _check_address(settings.issuer)
        self.settings = settings
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at = -math.inf
        self._trouble = ""
        self._reading = asyncio.Lock()

    async def caller_of(self, token: str) -> Caller:
        """Return whose token it is.

        Raises:
            NotAuthorized: It is not valid here.
            ProviderUnreachable: The keys cannot be read.
        """
        settings, repair = self.settings, "get a new token from the provider"
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            text = f"the token of {settings.issuer} is not valid here: {error}"
            raise NotAuthorized(text, where=_WHERE, repair=repair) from None
        name = _text(claims, settings.name_claim)
        tenant = _text(claims, settings.tenant_claim) if settings.tenant_claim else settings.tenant
        rights = _rights(claims, settings.rights_claim) if settings.rights_claim else settings.rights
        return Caller(OIDC + name, tenant, rights_of(rights, "users, oidc"), float(claims["exp"]) + _LEEWAY_SECONDS)

    async def _key(self, kid: str) -> PyJWK:
        """Return the key of this id; the only one, if the token names none."""
        asked = time.monotonic()
        if asked - self._read_at > (_AGAIN_SECONDS if self._found(kid) is None else _KEPT_SECONDS):
            async with self._reading:
                if self._read_at < asked:
                    await self._read()
        key = self._found(kid)
        if not self._keys:
            repair = "try again; compare the issuer of the file of users with that of the provider"
            raise ProviderUnreachable(self._trouble, where="users, oidc", repair=repair)
        if key is None:
            raise jwt.InvalidTokenError(f"the provider has no key {kid!r}")
        return key

    def _found(self, kid: str) -> PyJWK | None:
        only = next(iter(self._keys.values())) if not kid and len(self._keys) == 1 else None
        return self._keys.get(kid, only)

    async def _read(self) -> None:
        """Read the keys; if they cannot be read, those of the last time hold."""
        self._read_at = time.monotonic()
        try:
            self._keys = await asyncio.to_thread(_keys_of, self.settings.issuer)
        except (OSError, ValueError, InputError, jwt.PyJWTError) as error:
            self._trouble = f"the keys of {self.settings.issuer} cannot be read: {error}"
            _LOG.warning("%s; what was read before holds", self._trouble)


def _check_address(address: str) -> None:
    """Check that an address is encrypted, or of this machine. Raises: InputError."""
    parts = urlsplit(address)
    if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)):
        repair = "give an https address; http only on this machine"
        raise InputError(f"{address!r} cannot be the address of a provider", where="users, oidc", repair=repair)


def _keys_of(issuer: str) -> Mapping[str, PyJWK]:
    """Return the keys that a provider publishes for signatures."""
    about = _document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if about.get("issuer") != issuer:
        message = f"its configuration is of the issuer {about.get('issuer')!r}"
        raise ValueError(message)
    found = _document(str(about.get("jwks_uri"))).get("keys")
    keys = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    usable = [each for each in keys if each.get("kty") in _KINDS and each.get("use", "sig") == "sig"]
    known: dict[str, PyJWK] = {}
    for each in usable:
        with suppress(jwt.PyJWTError):  # of a kind that no token here can be signed with
            known[str(each.get("kid", ""))] = PyJWK(each)
    if not known:
        message = "it publishes no key for signatures that is known here"
        raise ValueError(message)
    return known


def _document(address: str) -> Mapping[str, Any]:
    """Return the JSON object at an address. A redirect is refused: it could lead to one that is not encrypted."""
    _check_address(address)
    try:
        with closing(request("GET", address, {}, seconds=_READ_SECONDS, is_own=True)) as answer:
            if answer.status != HTTPStatus.OK:
                message = f"{address} answered {answer.status}"
                raise OSError(message)
            found = json.loads(answer.read(_MOST_BYTES))
    except HTTPException as error:
        message = f"{address} does not answer as HTTP does: {error}"
        raise OSError(message) from error
    if not isinstance(found, dict):
        message = f"{address} is no JSON object"
        raise ValueError(message)
    return found


def _text(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim that is a name. Raises: NotAuthorized."""
    found = claims.get(name)
    if not isinstance(found, str) or not is_tag(found):
        repair = "let the provider add it, or name another claim: graphengine users oidc"
        raise NotAuthorized(f"the token has no claim {name!r} that is a name", where=_WHERE, repair=repair)
    return found


def _rights(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """Return the rights that a claim names; other words, such as roles elsewhere, are left out."""
    found = claims.get(name)
    words = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    plain = [str(word).removeprefix("graphengine:") for word in words]
    return [word for word in plain if word in (*RIGHTS, ALL)]


__all__ = ["Provider", "ProviderUnreachable"]
