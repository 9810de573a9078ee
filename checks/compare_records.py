"""Are the records of two run folders the same? For two engines, two machines or two versions; takes seconds.

    python -m checks.compare_records RUN RUN

Records are paired by question, permutation, thought and cell. Every field is compared: texts, ids and counts for
equality, numbers with a fraction by their difference. Ends with status 1 if a discrete field differs, a number differs
by more than --tolerance, or a record is in one folder only.
"""
import argparse
import sys
from collections import Counter
from pathlib import Path

from runs.journal import read_records
from scoring.record_schema import UNIT_NAMES

KEY = (*UNIT_NAMES, "total_budget", "answer_thinking_ratio")


def compare(first: Path, second: Path) -> dict:
    """Counts `records`, `only_in_one`, `different` (name of a field to number of records), `largest` difference."""
    one, other = _by_key(first), _by_key(second)
    different, largest = Counter(), 0.0
    for key in one.keys() & other.keys():
        for name in one[key].keys() | other[key].keys():
            values = one[key].get(name), other[key].get(name)
            distance = _distance(*values)
            if distance is None:
                different[name] += values[0] != values[1]
            else:
                largest = max(largest, distance)
    return {
        "records": len(one.keys() & other.keys()),
        "only_in_one": len(one.keys() ^ other.keys()),
        "different": {name: number for name, number in sorted(different.items()) if number},
        "largest": largest,
    }


def _by_key(path: Path) -> dict[tuple, dict]:
    return {tuple(record[name] for name in KEY): record for record in read_records(path)}


def _distance(one, other) -> float | None:
    """Largest difference of two floats or lists of floats; None for anything else."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and one:
        distances = [_distance(*pair) for pair in zip(one, other, strict=True)]
        return None if None in distances else max(distances)
    return None


def main(argv: list[str]) -> int:
    """Prints what differs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args(argv)
    found = compare(*(folder / "records.jsonl" for folder in arguments.runs))
    print(f"{found['records']:,} records in both, {found['only_in_one']:,} in one only")
    print(f"different discrete fields: {found['different'] or 0}; largest difference: {found['largest']:.2g}")
    return int(bool(found["different"] or found["only_in_one"]) or found["largest"] > arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
