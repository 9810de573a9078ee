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

SILENCE = 60  # seconds without a byte after which the hub counts as gone; its own client would wait for ever
# What loading from the hub or a folder raises; ImportError: a SOCKS proxy needs one more package.
HUB_ERRORS = (OSError, ValueError, ImportError, hub.HTTPError)

_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def limit_hub_waits() -> None:
    """Gives every request to the hub a time limit, and silences its retries; for the whole process.

    The client asks about a repository without a time limit, and its messages hide the one line that says what is wrong.
    """
    hub_logging.set_verbosity_error()
    set_client_factory(_client_with_limits)


def _client_with_limits():
    # No public name gives this client: one of our own would lose its offline mode and its count of downloads, and
    # `get_session` would make one, and fail without a SOCKS proxy's package, before anything is asked.
    client = default_client_factory()
    client.event_hooks["request"].append(_limit_waits)
    return client


def _limit_waits(request):
    given = request.extensions.get("timeout", {})
    waits = {wait: given.get(wait) for wait in ("connect", "read", "write", "pool")}
    request.extensions["timeout"] = {wait: min(SILENCE, seconds or SILENCE) for wait, seconds in waits.items()}


def fetched(model_name: str, files: list[str], revision: str | None = None) -> Path:
    """Folder in the hub's cache, named by the commit, with those files of a model that match. Raises HUB_ERRORS.

    All of them, or an error. transformers on its own goes on without a tokenizer's settings if the hub fails to send
    just that file, and asks a service to convert weights that are not there.
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
    """Name of the environment variable with the proxy; its value may hold a password."""
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
