"""The demo's tokenizer: byte-level BPE with Qwen's split pattern, Qwen3's control tokens and chat format, few words."""
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from demo.task import OPTIONS, answer_thought, confidence_thought, make_demo_question
from evaluation_tool import CONFIDENCE_READOUT, P_TRUE_READOUT, answer_prompt, answer_readout, confidence_prompt
from thinking.prompt_encoder import CAPPED_CLOSING

# Qwen's: each digit is alone, and a word includes the character before it, so " kem" and ">kem" can be tokens
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' %}
        {{- message.content.split('</think>')[-1].lstrip('\\n') }}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK_TOKENS = ("<think>", "</think>")
VOCABULARY_LIMIT = 2000  # not reached: MIN_FREQUENCY allows fewer merges
MIN_FREQUENCY = 100
N_CORPUS_QUESTIONS = 1000


def corpus():
    """Every kind of text that the model reads, a thousand times."""
    random = Random(0)
    readouts = (answer_readout(len(OPTIONS)), CONFIDENCE_READOUT, P_TRUE_READOUT)
    for _ in range(N_CORPUS_QUESTIONS):
        question = make_demo_question(random)
        proposed = random.randrange(len(OPTIONS))
        yield answer_prompt(question.text, OPTIONS)
        yield confidence_prompt(question.text, OPTIONS, proposed)
        yield answer_thought(question)
        yield confidence_thought(question, question.gateway)
        yield from ("user\n", "assistant\n", "\n", "\n\n", CAPPED_CLOSING.split("</think>")[0])
        for readout in readouts:
            yield readout.prefix + random.choice(random.choice(readout.choices))


def make_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Trains the tokenizer and saves it in the folder."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_LIMIT,
        min_frequency=MIN_FREQUENCY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(corpus(), trainer)
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL_TOKENS])
    core.add_tokens([AddedToken(text, special=False, normalized=False) for text in THINK_TOKENS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer
