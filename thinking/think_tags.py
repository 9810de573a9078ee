"""Tags of think blocks, and other marks of structure, in a model's vocabulary and in what its chat template renders."""
import re

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
# Tags of other models' think blocks: Seed-OSS, Magistral, and models tuned with tags of their own
_TAGS = (
    (THINK_OPEN, THINK_CLOSE), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]"), ("<thought>", "</thought>"),
    ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"),
)  # fmt: skip
_BARS = re.compile("<[|\uff5c][^<>]*[|\uff5c]>")  # U+FF5C is the wide bar of DeepSeek's vocabularies
_THINK_TAGS = "|".join(re.escape(tag) for pair in _TAGS for tag in pair)
_MARKER = re.compile(rf"{_BARS.pattern}|</?(tool_call|tool_response)>|{_THINK_TAGS}")
_TURN_BEGINS = re.compile(r"\b(?:assistant|model|bot|response)\b|</\w+>|\[/\w+\]", re.IGNORECASE)


def tags_of(template: str, id_of: dict[str, int]) -> tuple[str, str]:
    """The first tags that are control tokens and of which the template names one; <think> and </think> without any."""
    named = (pair for pair in _TAGS if pair[0] in template or pair[1] in template)
    return next((pair for pair in named if id_of.keys() >= set(pair)), _TAGS[0])


def is_marker(text: str, template: str) -> bool:
    """Whether an added token marks structure although it is not declared special; else it is text.

    Markers are think and tool tags, tokens between bars, and tokens that the template uses. White space (some
    vocabularies add runs of blanks) and bare words (`user`, or a term of the field) are text: a template may contain
    them by chance.
    """
    if _MARKER.fullmatch(text):
        return True
    return text in template and bool(text.strip()) and not re.fullmatch(r"\w+", text)


def opens_another_block(tail: str, head: str | None, tags: tuple[str, str]) -> bool:
    """Whether a prompt's tail opens something that a finished turn does not have before the assistant's text.

    tail: after the user's text; head: between the user's text and the assistant's, None if unknown. Think blocks do not
    count, closed or open. Without a head the tail itself must say whose turn it is: then only marks and tokens between
    bars may follow the role, or the tag that closes the user's turn.
    """
    tail = _without_think_block(tail, *tags)
    if head is not None:
        head = _without_think_block(head, *tags)
        return not (head.startswith(tail) or head.endswith(tail.lstrip()))
    *_, after = _TURN_BEGINS.split(tail)
    return after != tail and bool(re.search(r"\w", _BARS.sub("", after)))


def _without_think_block(text: str, opening: str, closing: str) -> str:
    """The text without a think block at its end, closed or open, and without white space there."""
    text = text.rstrip()
    if not text.endswith(closing):
        return text.removesuffix(opening).rstrip()
    text = text.removesuffix(closing)
    before, opened, _ = text.rpartition(opening)
    return (before if opened else text).rstrip()
