"""A vLLM server that somebody runs: token ids in, token ids and log probabilities of chosen ids out, over HTTP."""
import json
from collections import Counter

from basics.errors import UserError
from thinking.prompt_encoder import PromptEncoder
from thinking.vllm_engine.calls import Call, Completion, Loop, Probe, Promises
from thinking.vllm_engine.draws import ANSWER_TOKENS, ARGUMENT, facts_of
from thinking.vllm_engine.engine import check_completion, probing_calls, promises_of
from thinking.vllm_engine.http_client import GARBAGE, HttpClient, Outage, garbage

_PROMPTS_PER_REQUEST = 32  # of calls with equal options
_NO_LOGPROB = -9999.0  # what vLLM writes in JSON for minus infinity


class Server:
    """Keeps `calls.Transport`'s promises with a server. Raises UserError if it is not one that can serve the run."""

    is_here = False

    def __init__(self, url: str, encoder: PromptEncoder):
        self.counts, self._loop = Counter(), Loop()
        self._encoder, self._vocabulary = encoder, encoder.config.get_text_config(decoder=True).vocab_size
        self._probe = self._promises = None
        self._served_as = encoder.model_name
        try:
            self._http = HttpClient(url)
            self._http.after_outage = self._check_again
            self.place = self._at_first(self._introduced())
        except BaseException:
            self._loop.close()
            raise

    def promises(self, probe: Probe) -> Promises:
        """As `calls.Transport` says."""
        self._probe = probe
        self._promises = self._at_first(self._asked())
        return self._promises

    def _at_first(self, coroutine):
        """Before anything is computed, nothing is tried twice."""
        try:
            return self._loop.run(coroutine)
        except GARBAGE as error:
            raise UserError(f"{self._http.name}: {garbage(error)}") from None
        except Outage as fault:
            raise UserError(f"{self._http.name}: {fault}") from None

    def complete(self, calls: list[Call]) -> list[Completion]:
        """As `calls.Transport` says; calls with equal options share requests."""
        groups, found = {}, [None] * len(calls)
        for number, call in enumerate(calls):
            groups.setdefault((json.dumps(call.options), call.own_draws), []).append(number)
        parts = [
            numbers[start : start + _PROMPTS_PER_REQUEST]
            for numbers in groups.values()
            for start in range(0, len(numbers), _PROMPTS_PER_REQUEST)
        ]

        async def send(numbers):
            return await self._send([calls[number] for number in numbers])

        for numbers, completions in zip(parts, self._loop.run_each(send, parts), strict=True):
            for number, completion in zip(numbers, completions, strict=True):
                found[number] = completion
        return found

    def close(self) -> None:
        """As `calls.Transport` says; the server goes on."""
        self._loop.close(self._http.close)

    async def _introduced(self) -> dict[str, str]:
        """What the server is. Raises UserError if it is no vLLM or serves another model."""
        http, wanted = self._http, self._encoder.model_name
        try:
            version = (await http.once("/version"))["version"]
        except (*GARBAGE, UserError):
            raise UserError(
                f"{http.name}: no vLLM answers there (/version says nothing of one); endpoints that give text alone"
                " cannot be used: caps are audited from token ids, and confidences are read off log probabilities of"
                " chosen tokens"
            ) from None
        models = (await http.once("/v1/models"))["data"]
        fitting = [model for model in models if wanted in (model.get("id"), model.get("root"))]
        if not fitting:
            served = ", ".join(repr(model.get("root") or model.get("id")) for model in models)
            raise UserError(
                f"{http.name}: it serves {served}, and model_name is {wanted!r}; start it with this model, or with"
                f" --served-model-name {wanted} if it has the same one under another name"
            )
        self._served_as, self._longest = fitting[0]["id"], fitting[0].get("max_model_len")
        return {"version": f"vLLM {version}", "server": http.name.partition(" = ")[2].strip("'")}

    async def _asked(self) -> Promises:
        """What the server promises. Raises UserError if it is not enough for the run."""
        needed = max(self._probe.tokens_per_row + 1, len(self._probe.prompt_ids) + ANSWER_TOKENS)
        if self._longest is not None and self._longest < needed:
            raise UserError(
                f"{self._http.name}: its rows hold {self._longest:,} tokens (--max-model-len), this run needs"
                f" {needed:,}"
            )
        (told,), (likeliest,) = [await self._send_once([call]) for call in probing_calls(self._probe)]
        return promises_of(facts_of(told.token_ids), list(likeliest.logprobs.values()), f"{self._http.name}: it")

    async def _check_again(self) -> None:
        """After an outage: raises UserError if another server has come back, and Outage if none has yet."""
        before = self._promises
        if before is None:
            return
        await self._introduced()
        if await self._asked() != before:
            raise UserError(
                f"{self._http.name}: it has come back with other promises (logits processor, number format or device);"
                " start it as it was, and the same command goes on"
            )

    async def _send(self, calls: list[Call]) -> list[Completion]:
        return await self._http.post("/v1/completions", self._body(calls), lambda answer: self._taken(calls, answer))

    async def _send_once(self, calls: list[Call]) -> list[Completion]:
        return self._taken(calls, await self._http.once("/v1/completions", self._body(calls)))

    def _body(self, calls: list[Call]) -> dict:
        """calls: with equal options."""
        options, own_draws = calls[0].options, calls[0].own_draws
        body = {"model": self._served_as, "prompt": [list(call.prompt_ids) for call in calls], **options}
        body |= {"return_token_ids": True, "return_tokens_as_token_ids": True, "add_special_tokens": False}
        if "logprob_token_ids" in options:
            body["logprobs"] = len(options["logprob_token_ids"])
        if own_draws is not None:
            body["vllm_xargs"] = {ARGUMENT: own_draws}
        return body

    def _taken(self, calls: list[Call], answer: dict) -> list[Completion]:
        """Raises UserError for an answer that is none to these calls, and any error of a look-up for garbage."""
        name, choices = self._http.name, sorted(answer["choices"], key=lambda choice: choice["index"])
        if len(choices) != len(calls):
            raise ValueError(f"{len(choices)} choices for {len(calls)} prompts")
        completions = [_completion(call, choice, name) for call, choice in zip(calls, choices, strict=True)]
        for call, completion in zip(calls, completions, strict=True):
            check_completion(call, completion, self._vocabulary, f"{name}: it")
        usage = answer.get("usage") or {}
        self.counts["calls"] += len(calls)
        self.counts["prompt_tokens"] += sum(len(call.prompt_ids) for call in calls)
        self.counts["cached_tokens"] += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        return completions


def _completion(call: Call, choice: dict, name: str) -> Completion:
    read, token_ids = choice.get("prompt_token_ids"), choice.get("token_ids")
    if read is None or token_ids is None:
        raise UserError(
            f"{name}: it gives text alone and no token ids (return_token_ids), so caps cannot be audited nor"
            " confidences read out; a vLLM of version 0.32 or newer is needed"
        )
    if list(read) != list(call.prompt_ids):
        raise UserError(f"{name}: it has read another prompt than it was sent ({len(read):,} tokens)")
    if choice.get("finish_reason") not in ("stop", "length"):
        raise ValueError(f"finish_reason {choice.get('finish_reason')!r}")
    logprobs = {}
    if "logprob_token_ids" in call.options or "logprobs" in call.options:
        entries = (choice.get("logprobs") or {}).get("top_logprobs")
        if not entries:
            raise UserError(f"{name}: it gives no log probabilities (logprobs), so nothing can be read out")
        for text, value in entries[0].items():
            logprobs[int(text.removeprefix("token_id:"))] = _number(value)
    return Completion([int(token_id) for token_id in token_ids], logprobs)


def _number(value) -> float:
    """A log probability; None in JSON stands for NaN."""
    if value is None:
        return float("nan")
    return float("-inf") if value <= _NO_LOGPROB else float(value)
