"""Requests to a server that may be slow, busy, restarting or gone: bounded retries, and one line for each fault."""
import asyncio
import json
import os
import re
import sys
import time
from urllib.parse import urlsplit

import httpx2

from basics.errors import UserError

API_KEY = "VLLM_API_KEY"  # the environment variable that holds a server's key; it is written nowhere
_WAITS = (1, 2, 4, 8, 16, 30, 60, 60, 60, 60, 60)  # seconds before each further try: six minutes, as long as a restart
_BUSY = (408, 425, 429, 500, 502, 503, 504)  # what may be over in a moment
_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)  # seconds; an answer may wait behind many others
_TIMEOUT_TRIES = 4  # as how many tries a timeout counts
_AT_ONCE = 256  # connections
GARBAGE = (ValueError, KeyError, TypeError, IndexError, AttributeError)  # of taking apart what is no answer


class Outage(Exception):  # noqa: N818 - it may be over in a moment
    """No usable answer came; another try may have one. tries: as how many it counts."""

    def __init__(self, text: str, tries: int = 1):
        super().__init__(text)
        self.tries = tries


class HttpClient:
    """Sends JSON to one server and gets JSON back; used inside one event loop.

    url: of the server, as ENGINE names it, with or without `/v1`. after_outage: awaited once after an outage, before
    anything else is sent; it looks whether the server is still the same.
    """

    def __init__(self, url: str):
        self._root = _root_of(url)
        self.name = f"ENGINE = {_shown(url)!r}"
        key = os.environ.get(API_KEY, "").strip()
        limits = httpx2.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=_TIMEOUT, limits=limits
        )
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._is_out, self._back = False, asyncio.Lock()
        self.after_outage = None

    async def once(self, path: str, body: dict | None = None) -> object:
        """JSON that answers the body, or at the path. Raises Outage, or UserError for what no other try would mend."""
        content = None if body is None else json.dumps(body, separators=(",", ":"))
        try:
            response = await self._client.request(
                "GET" if body is None else "POST",
                self._root + path,
                content=content,
                headers={"Content-Type": "application/json"},
            )
        except httpx2.ReadTimeout:
            raise Outage(f"it does not answer within {_TIMEOUT.read:g} seconds", _TIMEOUT_TRIES) from None
        except httpx2.HTTPError as error:
            said = str(error)[:80] or "connection lost"
            raise Outage(f"it cannot be reached ({type(error).__name__}: {said})") from None
        status = response.status_code
        if status in _BUSY:
            raise Outage(f"it answered with status {status}{_said(response)}")
        if status in (401, 403):
            raise UserError(
                f"{self.name}: it refuses the API key (status {status}); set the environment variable {API_KEY}"
            )
        if status != 200:
            raise UserError(f"{self.name}: it refuses {path} with status {status}{_said(response)}")
        try:
            return response.json()
        except ValueError:
            raise Outage("it answered with something that is not JSON") from None

    async def post(self, path: str, body: dict, usable) -> object:
        """What `usable` makes of the JSON that answers the body; tried again while that fails or the server is away.

        usable: from JSON to a result; raises one of GARBAGE for what is no answer. Raises UserError if the server
        refuses, or if no usable answer came after all tries.
        """
        tries = 0
        while True:
            try:
                async with self._turn:
                    await self._same_as_before()
                    return usable(await self.once(path, body))
            except GARBAGE as error:
                fault = garbage(error)
            except Outage as outage:
                fault = outage
            tries += fault.tries
            if tries > len(_WAITS):
                raise UserError(
                    f"{self.name}: {fault}, and so it did after several tries; what was computed is kept, and the same"
                    " command goes on where it was"
                )
            self._begin_outage(fault)
            await asyncio.sleep(_WAITS[tries - 1])

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def _same_as_before(self) -> None:
        if not self._is_out or self.after_outage is None:
            return
        async with self._back:
            if self._is_out:
                await self.after_outage()
                self._is_out = False
                self._say("it answers again")

    def _begin_outage(self, fault: Outage) -> None:
        if not self._is_out:
            self._is_out = True
            self._say(f"{fault}; it is tried again for up to {sum(_WAITS) / 60:.0f} minutes")

    def _say(self, text: str) -> None:
        print(f"\n{time.strftime('%H:%M:%S')} {self.name}: {text}", file=sys.stderr, flush=True)


def garbage(error: Exception) -> Outage:
    """An answer that cannot be taken apart. error: one of GARBAGE."""
    return Outage(f"it answered with garbage ({type(error).__name__}: {str(error)[:80]})")


def _root_of(url: str) -> str:
    """Scheme, host and path without a closing `/v1`. Raises UserError for a URL that holds a password or a query."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        raise UserError("ENGINE: it is no URL of a server, such as http://localhost:8000") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"ENGINE = {_shown(url)!r}: a URL with a user, a password or a query would be written to config.json; an"
            f" API key belongs in the environment variable {API_KEY}"
        )
    if not parts.hostname:
        raise UserError(f"ENGINE = {_shown(url)!r}: the URL names no host")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _shown(url: str) -> str:
    """The URL without what may be secret."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[?#]', rest)[0].rpartition('@')[2]}"


def _said(response) -> str:
    """What the server says of the fault, as vLLM words it; empty if it says nothing."""
    try:
        said = response.json()
        inner = said.get("error")
        text = inner["message"] if isinstance(inner, dict) else said.get("message") or said["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f" ({' '.join(str(text).split())[:200]})"
