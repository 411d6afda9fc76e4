"""MCP servers that want a token: the mcp package's own OAuth client gets it."""

import socket
from pathlib import Path

import pytest

from graphengine import mcp
from graphengine.agents.tools import ToolsUnavailable
from tests.agents.tool_kits import in_thread
from tests.kit import forks

pytest.importorskip("mcp")

from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

PROGRAM = Path(__file__).with_name("oauth_mcp_server.py")


class Tokens:
    """Keeps tokens."""

    tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the token."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep a token."""
        self.tokens = tokens

    async def get_client_info(self) -> None:
        """Return nothing: the client's credentials are given."""

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep nothing."""


async def test_a_server_that_wants_a_token_is_reached_with_the_packages_oauth_client() -> None:
    """`auth=` takes a provider of the mcp package, which finds the authorization server and gets a token."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        server = forks.start(PROGRAM, str(port), loads=["mcp.server.mcpserver", "uvicorn"])
        while "running on" not in (line := server.stderr.readline()):
            assert line, "the server ended"
        url, issuer, tokens = f"http://127.0.0.1:{port}/mcp", f"http://127.0.0.1:{port}/", Tokens()
        with pytest.raises(ToolsUnavailable):
            await mcp(url=url).open()
        provider = ClientCredentialsOAuthProvider(url, tokens, "clerk", "s3cret", "client_secret_post", None, issuer)
        source = mcp(url=url, auth=provider)
        (add,) = await source.open()
        outcome = await add.call('{"a": 1, "b": 1}', {}, in_thread)
        assert (outcome.text, outcome.is_error) == ("2", False)
        assert tokens.tokens is not None
        assert "s3cret" not in f"{source!r} {source.name}"
        await source.close()
        server.kill()
        server.end()
