"""Prompts as token ids by the model's own chat template, with the think block open or closed; no weights needed.

Models that no engine can run are refused here.
"""
import hashlib
import json
import secrets
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

from basics.errors import UserError
from basics.hub_faults import HUB_ERRORS, fetched, hub_fault
from thinking.bounded_text import TextError, bounded_text
from thinking.model_files import SMALL_FILES, check_name, check_no_adapter, hub_page, unusable, weight_files
from thinking.model_interface import Readout, ThoughtRequest
from thinking.think_tags import THINK_CLOSE, THINK_OPEN, is_marker, opens_another_block, tags_of

OPENING = "<think>\n"
NATURAL_CLOSING = "</think>\n\n"
# Qwen's own early-stopping text: "Thinking Budget" in the Qwen3 report (arXiv 2505.09388, section 4.3)
CAPPED_CLOSING = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now."
    "\n</think>\n\n"
)
UNASKED_BLOCK_CLOSING = "\n</think>\n\n"  # for templates that open a think block although told not to

_USER_TEXT_MARK, _ASSISTANT_TEXT_MARK = "USER-TEXT-STANDS-HERE", "ASSISTANT-TEXT-STANDS-HERE"


@dataclass(frozen=True)
class Prompt:
    """Token ids up to the first sampled token. The last `injected_tokens` of them do not come from the template."""

    ids: list[int]
    injected_tokens: int


class PromptEncoder:
    """Turns a user text into token ids by the model's own chat template; text can never become a control token.

    model_name: for messages. config, tokenizer: of transformers. folder: of the model's files, None if there is none.
    Raises UserError for a model that no engine can run here: no fast tokenizer, no chat
    template, an encoder beside the decoder.
    """

    def __init__(self, model_name: str, config, tokenizer, folder: Path | None = None):
        self.model_name, self.config, self.tokenizer, self.folder = model_name, config, tokenizer, folder
        _check_can_run(model_name, config, tokenizer)
        self.control_tokens = {
            token_id: added.content
            for token_id, added in self.tokenizer.added_tokens_decoder.items()
            if added.special or is_marker(added.content, str(tokenizer.chat_template))
        }
        id_of = {text: token_id for token_id, text in self.control_tokens.items()}
        self.tags = tags_of(str(tokenizer.chat_template), id_of)
        self.think_open_id, self.think_close_id = map(id_of.get, self.tags)  # None: no such token
        self._plain_tokenizer = _without_tokens(self.tokenizer, set(self.control_tokens.values()))
        self._readout_lengths: dict[Readout, int] = {}
        self._frames: dict[bool, tuple] = {}
        self._turn = {thinking: self._render_turn(thinking) for thinking in (True, False)}
        self._check_no_other_block()

    @classmethod
    def load(cls, model_name: str) -> "PromptEncoder":
        """From a hub id or a local folder. Raises UserError if it cannot be loaded or cannot be run."""
        folder = Path(model_name).expanduser()
        check_name(model_name, folder)
        try:
            if not folder.is_dir():
                folder = fetched(model_name, SMALL_FILES)
            check_no_adapter(model_name, folder)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except UserError:
            raise
        except HUB_ERRORS as error:
            raise UserError(f"model_name = {model_name!r}: {hub_fault(error, hub_page(model_name))}") from error
        except Exception as error:  # transformers checks few of the values in a file, and raises anything
            fault = unusable("its configuration or tokenizer", error)
            raise UserError(f"model_name = {model_name!r}: {fault}") from error
        return cls(model_name, config, tokenizer, folder)

    def weights_folder(self) -> Path:
        """The folder of the model with its weights in it. Raises what `fetched` raises."""
        if not self._is_local():
            fetched(self.model_name, weight_files(self.folder), revision=self.folder.name)
        return self.folder

    def _is_local(self) -> bool:
        return Path(self.model_name).expanduser().is_dir()

    @property
    def context_length(self) -> int:
        """Largest number of tokens that prompt, thought and read-outs may have together."""
        return self.config.get_text_config(decoder=True).max_position_embeddings

    @property
    def can_think(self) -> bool:
        """Whether the template opens a think block, closes one when told not to think, or leaves it to the model."""
        tails = {thinking: after for thinking, (_, after) in self._turn.items()}
        closes = self.tags[1] in tails[False] and self.tags[1] not in tails[True]
        return self._is_open(tails[True]) or closes or self._opens_by_itself

    @property
    def _opens_by_itself(self) -> bool:
        """Whether the model opens its think block: no prompt has a tag, and the template knows what closes a thought.

        So do R1 distills of the first days and Seed-OSS; a model that does not think has a template without tags.
        """
        if self.think_open_id is None or self.think_close_id is None:
            return False
        no_tag = not any(tag in after for _, after in self._turn.values() for tag in self.tags)
        return no_tag and self.tags[1] in str(self.tokenizer.chat_template)

    def check_thinking(self) -> None:
        """Raises UserError unless the model has a think block that a cap can close."""
        if not self.can_think:
            raise UserError(
                f"model_name = {self.model_name!r}: its chat template opens no think block, so it runs only with"
                " TOTAL_BUDGET = 0"
            )
        if self.think_close_id is None or self.think_open_id is None:
            raise UserError(
                f"model_name = {self.model_name!r}: {self.tags[0]} and {self.tags[1]} are not single tokens of its"
                " vocabulary, so it runs only with TOTAL_BUDGET = 0"
            )

    def encode_prompt(self, user_text: str, thinking: bool) -> Prompt:
        """Prompt with its think block open (thinking) or closed or absent (not thinking)."""
        return self.prompt_around(self.encode_plain(user_text), thinking)

    def prompt_around(self, user_ids: list[int], thinking: bool) -> Prompt:
        """The prompt of a user's text, given its ids by `encode_plain_texts`. They never merge with the ids around."""
        before, after, added = self._frame(thinking)
        return Prompt([*before, *user_ids, *after, *added], len(added))

    def _frame(self, thinking: bool) -> tuple[list[int], list[int], list[int]]:
        """Ids before the user's text, after it, and those after the template's: encoded once.

        Raises UserError if the think block is then not as `thinking` says, whatever the user's text, which has no tag.
        """
        if thinking not in self._frames:
            before, after = self._turn[thinking]
            opening = "" if self._is_open(after) else OPENING
            if not thinking:
                opening = OPENING if self._opens_by_itself else ""
                opening += UNASKED_BLOCK_CLOSING if self._is_open(after) or opening else ""
            frame = tuple(map(self.encode_control, (before, after, self._with_tags(opening))))
            if self._block_is_open_in([*chain(*frame)]) != thinking:
                how, state = ("with", "closed") if thinking else ("without", "open")
                raise UserError(
                    f"model_name = {self.model_name!r}: a prompt {how} thinking is not possible, since what its chat"
                    f" template puts around a question has {' or '.join(self.tags)} so that a think block is {state}"
                )
            self._frames[thinking] = frame
        return self._frames[thinking]

    def encode_plain(self, text: str) -> list[int]:
        """Ids of a text in which no control token is recognised."""
        return self.encode_plain_texts([text])[0]

    def encode_plain_texts(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text as `encode_plain` gives them; several cores share the texts."""
        encoded = self._plain_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        all_ids = [one.ids for one in encoded]
        assert all(map(self.control_tokens.keys().isdisjoint, all_ids)), "user text became a control token"
        return all_ids

    def encode_control(self, text: str) -> list[int]:
        """Ids of one of the program's own texts, control tokens recognised."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def encode_readout(self, readout: Readout) -> tuple[list[int], list[list[list[int]]]]:
        """Ids of the prefix, and per choice and spelling the ids after it.

        Raises UserError if the vocabulary merges the end of the prefix with the beginning of a spelling.
        """
        prefix = self.encode_plain(readout.prefix)
        choices = []
        for spellings in readout.choices:
            encoded = [self.encode_plain(readout.prefix + spelling) for spelling in spellings]
            if any(ids[: len(prefix)] != prefix or len(ids) == len(prefix) for ids in encoded):
                raise UserError(
                    f"model_name = {self.model_name!r}: its tokenizer merges {readout.prefix!r} with what follows"
                    f" ({spellings[0]!r}), so it cannot be read out"
                )
            choices.append([ids[len(prefix) :] for ids in encoded])
        return prefix, choices

    def chat_frame(self) -> list[list[str]]:
        """What the template puts before and after the user's text, with and without thinking; part of a run's identity.

        A template can print what is not in its own text, such as today's date.
        """
        return [list(self._turn[thinking]) for thinking in (True, False)]

    def closing_texts(self) -> list[str]:
        """All texts around a thought that do not come from the template; part of a run's identity."""
        texts = [OPENING, NATURAL_CLOSING, CAPPED_CLOSING, UNASKED_BLOCK_CLOSING]
        without_thinking = [OPENING + UNASKED_BLOCK_CLOSING] if self._opens_by_itself else []
        return [self._with_tags(text) for text in [*texts, *without_thinking]]

    def encode_closing(self, stopped: str) -> list[int]:
        """Ids that close a thought that ended so: "natural", "capped", or "none" (nothing to close)."""
        text = {"natural": NATURAL_CLOSING, "capped": CAPPED_CLOSING, "none": ""}[stopped]
        return self.encode_control(self._with_tags(text))

    def _with_tags(self, text: str) -> str:
        return text.replace(THINK_OPEN, self.tags[0]).replace(THINK_CLOSE, self.tags[1])

    def tokens_needed(self, requests: list[ThoughtRequest]) -> list[int]:
        """Tokens of context that each takes at its largest cap: prompt, thought, closing, longest read-out."""
        closing = {cap > 0: len(self.encode_closing("capped" if cap else "none")) for cap in (0, 1)}
        needed = []
        user_texts = self.encode_plain_texts([request.user_text for request in requests])
        for request, user_ids in zip(requests, user_texts, strict=True):
            cap, longest = max(request.caps), max(map(self._longest_readout, request.readouts.values()))
            needed.append(sum(map(len, self._frame(cap > 0))) + len(user_ids) + cap + closing[cap > 0] + longest)
        return needed

    def _longest_readout(self, readout: Readout) -> int:
        if readout not in self._readout_lengths:
            prefix, choices = self.encode_readout(readout)
            longest = max(len(spelling) for spellings in choices for spelling in spellings)
            self._readout_lengths[readout] = len(prefix) + longest
        return self._readout_lengths[readout]

    def decode(self, ids: list[int]) -> str:
        """Text of thinking tokens; a character that was cut shows as U+FFFD."""
        return self.decode_all([ids])[0]

    def decode_all(self, all_ids: list[list[int]]) -> list[str]:
        """Texts of thinking tokens as `decode` gives them; several cores share them."""
        return self.tokenizer.backend_tokenizer.decode_batch(all_ids, skip_special_tokens=False)

    def fingerprint(self) -> str:
        """SHA-256 of vocabulary, merges, chat template and control tokens."""
        text = self.tokenizer.backend_tokenizer.to_str() + "\n" + str(self.tokenizer.chat_template)
        text += "\n" + json.dumps(sorted(self.control_tokens.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def model_fingerprint(self) -> str:
        """Hub commit of the model, or the SHA-256 of a local folder's configuration and weights."""
        if not self._is_local():
            return f"commit {self.folder.name}"
        digest = hashlib.sha256()
        for path in [*sorted(self.folder.glob("*.safetensors")), self.folder / "config.json"]:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return f"sha256 {digest.hexdigest()}"

    def _render_turn(self, thinking: bool) -> tuple[str, str]:
        turn = [{"role": "user", "content": _USER_TEXT_MARK}]
        try:
            rendered = bounded_text(lambda: self._render(turn, thinking, add_generation_prompt=True))
        except TextError as fault:
            raise UserError(f"model_name = {self.model_name!r}: its chat template {fault}") from None
        parts = rendered.split(_USER_TEXT_MARK)
        if len(parts) != 2:
            raise UserError(
                f"model_name = {self.model_name!r}: its chat template shows the user's text {len(parts) - 1} times,"
                " once is needed"
            )
        return parts[0], parts[1]

    def _render(self, turns: list[dict], thinking: bool, **options) -> str:
        """By the chat template, with both names that templates have for the switch (Qwen3's, and DeepSeek-V3.1's)."""
        switch = {"enable_thinking": thinking, "thinking": thinking}
        return self.tokenizer.apply_chat_template(turns, tokenize=False, **switch, **options)

    def _check_no_other_block(self) -> None:
        """Raises UserError if a prompt ends inside a block that think tags do not open.

        This program cannot close such a block, and the read-outs would be a part of it.
        """
        for thinking in (False, True) if self.can_think else (False,):
            tail = self._turn[thinking][1]
            if opens_another_block(tail, self._head_of_finished_turn(thinking), self.tags):
                last_line = tail.strip().rpartition("\n")[2][-60:]
                raise UserError(
                    f"model_name = {self.model_name!r}: its chat template ends the prompt with {last_line!r}, inside a"
                    f" block that is not {self.tags[0]} and that this program cannot close, so it cannot be run with"
                    " any budget"
                )

    def _head_of_finished_turn(self, thinking: bool) -> str | None:
        """What the template puts between a user's text and the assistant's; None if it cannot show an assistant's."""
        turns = [{"role": "user", "content": _USER_TEXT_MARK}, {"role": "assistant", "content": _ASSISTANT_TEXT_MARK}]
        try:
            rendered = bounded_text(lambda: self._render(turns, thinking))
        except TextError:
            return None
        after_user = rendered.partition(_USER_TEXT_MARK)[2]
        head, found, _ = after_user.partition(_ASSISTANT_TEXT_MARK)
        return head if found else None

    def _block_is_open_in(self, ids: list[int]) -> bool:
        tags = self.think_open_id, self.think_close_id
        last = next((token_id for token_id in reversed(ids) if token_id in tags), None)
        return last is not None and last == self.think_open_id

    def _is_open(self, rendered: str) -> bool:
        return rendered.rstrip().endswith(self.tags[0])


def _check_can_run(model_name, config, tokenizer):
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"model_name = {model_name!r}: it has no fast tokenizer (tokenizer.json)")
    if not tokenizer.encode("Answer:", add_special_tokens=False):  # transformers makes an empty one and says nothing
        raise UserError(f"model_name = {model_name!r}: its tokenizer has no vocabulary (is tokenizer.json missing?)")
    _check_config(model_name, config.get_text_config(decoder=True), tokenizer)
    context = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    if not isinstance(context, int) or context < 1:
        raise UserError(f"model_name = {model_name!r}: its configuration does not say how long its context is")
    if tokenizer.chat_template is None:
        raise UserError(f"model_name = {model_name!r}: its tokenizer has no chat template; a chat model is needed")
    if config.is_encoder_decoder:
        raise UserError(f"model_name = {model_name!r}: an encoder-decoder model; a decoder-only model is needed")


def _check_config(model_name, config, tokenizer):
    """Raises UserError if text can become a token that the configuration has no room for."""
    text_ids = set(tokenizer.get_vocab().values()) - tokenizer.added_tokens_decoder.keys()
    size = getattr(config, "vocab_size", None)
    if isinstance(size, int) and size <= max(text_ids, default=0):
        raise UserError(
            f"model_name = {model_name!r}: its tokenizer has token {max(text_ids):,}, and its configuration a"
            f" vocabulary of {size:,} (vocab_size); they are not of one model"
        )


def _without_tokens(tokenizer, texts):
    """A copy of the tokenizer that does not know the added tokens with these texts; the others keep their ids."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["truncation"] = state["padding"] = state["post_processor"] = None
    in_vocabulary, kept = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False), []
    for added in state["added_tokens"]:
        if added["content"] not in texts:
            kept.append(added)
        elif added["content"] not in in_vocabulary:
            # Ids follow from places, so a text takes this place that nobody can guess or write.
            kept.append(added | {"content": secrets.token_hex(16)})
    plain = Tokenizer.from_str(json.dumps(state | {"added_tokens": kept}))
    for added in state["added_tokens"]:
        assert added["content"] in texts or plain.token_to_id(added["content"]) == added["id"], "a token's id moved"
    return plain
