"""The demo's fixed file of held-out questions."""
import json
from pathlib import Path
from random import Random

from demo.task import GATEWAYS, LONGEST_CHAIN, N_LINKS, OPTIONS, OTHER_HOPS, RoutingQuestion, make_question

N_QUESTIONS = 480  # two of every number of hops and every gateway
HOPS_PER_CATEGORY = 10


def category(hops: int) -> str:
    """Name of the bucket that the number of hops falls in, such as "1-10 hops"."""
    first = (hops - 1) // HOPS_PER_CATEGORY * HOPS_PER_CATEGORY + 1
    return f"{first}-{first + HOPS_PER_CATEGORY - 1} hops"


def _question_to(gateway: str, hops: int, random: Random) -> RoutingQuestion:
    """Draws questions until the packet leaves at the gateway."""
    while True:
        question = make_question(random, hops, OTHER_HOPS, N_LINKS)
        if question.gateway == gateway:
            return question


def make_rows() -> list[dict]:
    """Rows of the file: every number of hops with every gateway equally often.

    So a constant guess is right in one of four questions. Training never uses this stream of random numbers.
    """
    random = Random("held-out questions")
    rows = []
    for number in range(N_QUESTIONS):
        hops, gateway = number % LONGEST_CHAIN + 1, GATEWAYS[number // LONGEST_CHAIN % len(GATEWAYS)]
        question = _question_to(gateway, hops, random)
        rows.append({
            "id": f"route-{number + 1:03d}",
            "question": question.text,
            "choices": list(OPTIONS),
            "answer": question.correct_option,
            "subject": category(question.hops),
        })
    return rows


def write_questions(path: Path) -> None:
    """Writes the file, one question per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in make_rows()), encoding="utf-8")
