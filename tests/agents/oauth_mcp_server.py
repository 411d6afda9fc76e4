"""An MCP server over HTTP that wants a token, with the authorization server that gives it: oauth_mcp_server.py PORT."""

import sys

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PORT = int(sys.argv[1])
URL = f"http://127.0.0.1:{PORT}"
TOKEN = "token-of-the-test"  # noqa: S105 - of this server


class Verifier:
    """Knows one token."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whose a token is."""
        return AccessToken(token=token, client_id="clerk", scopes=[]) if token == TOKEN else None


async def metadata(request: Request) -> JSONResponse:
    """Describe the authorization server."""
    del request
    return JSONResponse(
        {
            "issuer": f"{URL}/",
            "authorization_endpoint": f"{URL}/authorize",
            "token_endpoint": f"{URL}/token",
            "response_types_supported": ["code"],
        }
    )


async def token(request: Request) -> JSONResponse:
    """Give the token for the client's credentials."""
    form = await request.form()
    if form.get("grant_type") != "client_credentials" or form.get("client_secret") != "s3cret":
        return JSONResponse({"error": "invalid_client"}, 401)
    return JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})


settings = AuthSettings(issuer_url=AnyHttpUrl(URL), resource_server_url=AnyHttpUrl(f"{URL}/mcp"))
server = MCPServer("vault", token_verifier=Verifier(), auth=settings)


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


app = server.streamable_http_app()
app.router.routes += [
    Route("/.well-known/oauth-authorization-server", metadata),
    Route("/token", token, methods=["POST"]),
]
uvicorn.run(app, port=PORT)
