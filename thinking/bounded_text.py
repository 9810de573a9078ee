"""A text made by code of unknown origin, such as a chat template, within limits of time, size and memory.

The sandbox of jinja2 limits a single loop, but not loops inside loops and not the size of a string. So a child process
makes the text: it can be ended whatever it does.
"""
import json
import os
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SECONDS = 10  # chat templates take milliseconds
MOST_CHARACTERS = 1_000_000  # chat templates give hundreds around one turn
_MOST_MEMORY = 2**30  # bytes more than this process has


class TextError(Exception):
    """Why there is no text; the message continues a sentence that begins with the name of its maker."""


def bounded_text(make: Callable[[], str]) -> str:
    """What the function returns, called in a child process. Raises TextError."""
    ours, childs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that the child lacks: it needs none
        child = os.fork()
    if child == 0:
        _answer(childs, make)  # does not return
    os.close(childs)
    try:
        return _understood(_all_of(ours))
    finally:
        os.close(ours)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _answer(pipe, make):
    """In the child: writes {"text": ...} or {"fault": ...}, and exits without the parent's clean-up."""
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS))  # if the parent has died
        with suppress(OSError, ValueError):  # without /proc only the time is limited
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + _MOST_MEMORY, now + _MOST_MEMORY))
        answer = _made(make)
        left = memoryview(json.dumps(answer).encode())
        while left:
            left = left[os.write(pipe, left) :]
    finally:
        os._exit(0)


def _made(make):
    try:
        text = make()
    except MemoryError:
        return {"fault": "needs more than a gigabyte of memory"}
    except Exception as error:  # a template can raise anything
        words = " ".join(str(error)[:2000].split())[:300]
        return {"fault": f"fails: {words or type(error).__name__}"}
    if len(text) > MOST_CHARACTERS:
        return {"fault": f"gives {len(text):,} characters around one turn; at most {MOST_CHARACTERS:,} are allowed"}
    return {"text": text}


def _all_of(pipe) -> bytes:
    """All bytes until the child closes the pipe. Raises TextError when the time is up."""
    until, parts = time.monotonic() + SECONDS, []
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0, until - time.monotonic()))
        if not ready:
            raise TextError(f"does not end within {SECONDS} seconds")
        part = os.read(pipe, 2**16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _understood(answer: bytes) -> str:
    try:
        found = json.loads(answer)
    except ValueError:  # the child was killed in the middle: out of memory, or its time limit
        raise TextError("needs more memory or time than there is") from None
    if "fault" in found:
        raise TextError(found["fault"])
    return found["text"]
