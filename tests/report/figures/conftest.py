"""Summaries, and their figures drawn once for all tests that only look at them."""
import functools

import pytest
from synthetic_summary import make_summary

SHAPES = {
    "standard": {},
    "one cell": {"budgets": (200,), "ratios": (0.5,), "conventional": False},
    "one ratio": {"ratios": (0.5,)},
    "one budget": {"budgets": (200,)},
    "conventional alone": {"budgets": ()},
    "20 cells": {"budgets": (50, 100, 200, 400)},
    "33 cells of 26 options": {"ratios": [step / 10 for step in range(11)], "letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
}


@pytest.fixture
def summary():
    return make_summary()


@pytest.fixture(params=[shape for shape in SHAPES if shape != "standard"])
def shape(request):
    return request.param


@pytest.fixture(scope="session")
def drawn():
    """The figure that a draw function makes of the summary of a shape; no test changes it."""
    return functools.cache(lambda draw, shape="standard": draw(make_summary(**SHAPES[shape])))
