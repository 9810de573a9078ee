"""Files from the model hub, and faults of the model and data hub, each in one line that says what to do."""
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from huggingface_hub import errors as hub
from huggingface_hub import set_client_factory, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils._http import default_client_factory

hub_logging.set_verbosity_error()  # its retries would bury the one line that says what is wrong

SILENCE = 60  # seconds without a byte after which the hub counts as gone; its client would wait for ever
# What loading from the hub or a folder raises; ImportError: a proxy of a kind that needs a package of its own.
HUB_ERRORS = (OSError, ValueError, ImportError, hub.HTTPError)

_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def _client_that_ends():
    """The hub's own client, with an end to every wait: it asks about a repository without any."""
    client = default_client_factory()
    client.event_hooks["request"].append(_end_waits)
    return client


def _end_waits(request):
    given = request.extensions.get("timeout", {})
    waits = {wait: given.get(wait) for wait in ("connect", "read", "write", "pool")}
    request.extensions["timeout"] = {wait: min(SILENCE, seconds or SILENCE) for wait, seconds in waits.items()}


set_client_factory(_client_that_ends)


def fetched(model_name: str, files: list[str], revision: str | None = None) -> Path:
    """Folder in the hub's cache, named by the commit, with those files of a model that match. Raises HUB_ERRORS.

    All of them, or an error: left to itself, transformers goes on without a tokenizer's settings if the hub fails to
    give just that file, and asks a service to convert weights that are not there.
    """
    return Path(snapshot_download(model_name, revision=revision, allow_patterns=files))


def hub_fault(error: BaseException, page: str) -> str:
    """Why something could not be loaded, in one line. page: its address on the hub, where terms are accepted."""
    chain = list(_causes(error))
    if _first(chain, hub.GatedRepoError):
        return f"access is gated; accept the terms at {page} and {_LOG_IN}"
    if _first(chain, hub.RepositoryNotFoundError):
        return f"the hub has no such repository; check the spelling, or if it is private {_LOG_IN}"
    if _first(chain, ImportError) and "SOCKS" in str(_first(chain, ImportError)):
        return f"{_socks_setting()} asks for a SOCKS proxy, which needs one more package: pip install socksio"
    answer = _answer(chain)
    status = answer and answer.status_code
    if status in (401, 403):
        return f"the hub denied access ({status}); {_LOG_IN}"
    if status == 404:
        return f"the hub has no file {unquote(urlsplit(str(answer.url)).path).rpartition('/')[2]!r} (404)"
    if status is not None:
        return f"the hub answered with an error ({status}); try again later"
    if _first(chain, hub.LocalEntryNotFoundError) or _first(chain, ConnectionError):
        if HF_HUB_OFFLINE:
            return "it is not in the local cache, and the hub is switched off by HF_HUB_OFFLINE"
        return "the hub cannot be reached and it is not in the local cache; check the connection, or name a local copy"
    if _first(chain, hub.HTTPError):
        return "the connection to the hub broke off or timed out; try again, what was loaded whole is kept"
    return " ".join(str(error).split())[:300] or type(error).__name__


def _socks_setting() -> str:
    """The environment variable that names the proxy; not its value, which may hold a password."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return next((name for name, value in proxies.items() if value.startswith("socks")), "a setting")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first(chain, kind):
    return next((error for error in chain if isinstance(error, kind)), None)


def _answer(chain):
    """The innermost answer of the hub; None if there was none."""
    answers = [error.response for error in chain if getattr(error, "response", None) is not None]
    return answers[-1] if answers else None
