import pytest

from runs.budgets import Cell, make_cells, split_budget


@pytest.mark.parametrize(
    ("total", "ratio", "caps"),
    [
        (200, 0.5, (100, 100)),
        (200, 0.0, (0, 200)),
        (200, 1.0, (200, 0)),
        (200, 0.29, (58, 142)),
        (50, 0.29, (15, 35)),  # 14.499999999999998 in binary floats
        (100, 0.145, (15, 85)),  # 14.499999999999998 in binary floats
        (7, 0.5, (4, 3)),
        (1, 0.5, (1, 0)),
        (1, 0.49, (0, 1)),
        (0, 0.5, (0, 0)),
    ],
)
def test_the_answer_cap_is_rounded_half_up_in_decimal(total, ratio, caps):
    assert split_budget(total, ratio) == caps


def test_caps_add_up_for_every_budget_and_ratio():
    for total in range(0, 410, 7):
        for percent in range(101):
            answer_budget, confidence_budget = split_budget(total, percent / 100)
            assert answer_budget + confidence_budget == total
            assert answer_budget >= 0
            assert confidence_budget >= 0


def test_at_budget_zero_every_ratio_is_the_same_cell():
    assert make_cells([0], [0, 0.5, 1]) == [Cell(0, None, 0, 0)]


def test_cells_are_sorted_and_each_is_there_once():
    cells = make_cells([200, 100, 200], [1, 0.5, 0.5])
    assert [(cell.total_budget, cell.answer_thinking_ratio) for cell in cells] == [
        (100, 0.5),
        (100, 1.0),
        (200, 0.5),
        (200, 1.0),
    ]
