"""Whether the shipped model still fits the experiment: a fingerprint of all texts that it was trained on."""
import hashlib
import json
from pathlib import Path

from demo.task import OPTIONS
from evaluation_tool import CONFIDENCE_READOUT, P_TRUE_READOUT, answer_prompt, answer_readout, confidence_prompt
from thinking.prompt_encoder import CAPPED_CLOSING, NATURAL_CLOSING

FINGERPRINT_FILE = "prompt_fingerprint.txt"  # beside the weights
EXAMPLE_QUESTION = "Routing table (1 links): kem>A\nA packet enters at kem. At which gateway does it leave?"


def prompt_fingerprint() -> str:
    """SHA-256 of both prompts, all read-outs and both closings, rendered on a fixed example."""
    readouts = (answer_readout(len(OPTIONS)), CONFIDENCE_READOUT, P_TRUE_READOUT)
    texts = [
        answer_prompt(EXAMPLE_QUESTION, OPTIONS),
        confidence_prompt(EXAMPLE_QUESTION, OPTIONS, 0),
        [[readout.prefix, readout.choices] for readout in readouts],
        NATURAL_CLOSING,
        CAPPED_CLOSING,
    ]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def write_fingerprint(folder: Path) -> None:
    """Writes the fingerprint of the training texts beside the weights."""
    (folder / FINGERPRINT_FILE).write_text(prompt_fingerprint() + "\n", encoding="utf-8")


def is_stale(folder: Path) -> bool:
    """Whether prompts, read-outs or closings have changed since the model in the folder was trained."""
    return (folder / FINGERPRINT_FILE).read_text(encoding="utf-8").strip() != prompt_fingerprint()
