"""Reads back from drawn figures what they show, and from summaries what they should show."""
import numpy as np
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation


def cells_of(summary, budget):
    return [cell for cell in summary["cells"] if cell["total_budget"] == budget]


def verbalised(cell):
    return cell["confidences"]["confidence"]


def value_of(cell, metric):
    return cell["accuracy"] if metric == "accuracy" else verbalised(cell)[metric]


def interval_of(cell, metric):
    if metric == "coverage_at_target":
        return verbalised(cell)["coverage_at_target_lower_bound"], value_of(cell, metric)
    interval = cell["accuracy_interval"] if metric == "accuracy" else verbalised(cell)[f"{metric}_interval"]
    return interval["low"], interval["high"]


def line(panel, label):
    (found,) = [line for line in panel.get_lines() if line.get_label() == label]
    return found


def labels(panel):
    return [line.get_label() for line in panel.get_lines()]


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def bands(panel):
    return [one for one in panel.collections if isinstance(one, FillBetweenPolyCollection)]


def edges_at(band, x):
    """Lower and upper edge of a filled band above x."""
    at = [y for path in band.get_paths() for place, y in path.vertices if np.isclose(place, x)]
    return min(at), max(at)


def bars(panel):
    """(x, low, high) of every vertical bar, in the order drawn; a bar without ends is no bar."""
    segments = [segment for c in panel.collections if isinstance(c, LineCollection) for segment in c.get_segments()]
    return [(segment[0][0], segment[0][1], segment[1][1]) for segment in segments if len(segment)]


def boxes(panel):
    return [patch for patch in panel.patches if isinstance(patch, Rectangle)]


def annotations(panel):
    return [child for child in panel.get_children() if isinstance(child, Annotation)]
