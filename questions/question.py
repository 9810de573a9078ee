"""A multiple-choice question."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A multiple-choice question; no text has white space at its ends.

    question_id: as given, else the first 16 hexadecimal digits of the SHA-256 of question and options as they are here:
    with the texts that are shown before the question, and without the options' own letters. options: 2 to 26 texts.
    correct_option: index into them; its text occurs once. category: None if there is none.
    """

    question_id: str
    question: str
    options: tuple[str, ...]
    correct_option: int
    category: str | None
