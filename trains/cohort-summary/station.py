"""Step "run": what one station computes over its own patients."""

import math
import sys
from bisect import bisect_right

from dataset import categories, numbers, read_dataset


def run_station(request):
    counts, means, histograms = parameters_of(request)
    columns, rows = read_dataset(request["dataset"])
    outputs = [count(columns, rows, name) for name in counts]
    outputs += [mean(columns, rows, name) for name in means]
    outputs += [histogram(columns, rows, name, breaks) for name, breaks in histograms.items()]
    return {"schema": "pht-result/v1", "outputs": outputs}


def parameters_of(request):
    """counts: column names; means: column names; histograms: breaks by column name. All optional, not all empty."""
    parameters = request["parameters"]
    counts, means = parameters.get("counts", []), parameters.get("means", [])
    histograms = parameters.get("histograms", {})
    if not isinstance(histograms, dict):
        sys.exit("the parameter histograms is not a mapping of columns to breaks")
    for what, names in (("counts", counts), ("means", means), ("histograms", list(histograms))):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            sys.exit(f"the parameter {what} is not a list of columns")
        # Output ids are lower case: Age and age would become one.
        if len({name.lower() for name in names}) < len(names):
            sys.exit(f"the parameter {what} names a column twice")
    for name, breaks in histograms.items():
        if not is_rising(breaks):
            sys.exit(f"the breaks of {name} are not a list of rising numbers")
    if not counts and not means and not histograms:
        sys.exit("the parameters name no column: give counts, means or histograms")
    return counts, means, histograms


def is_rising(breaks):
    if not isinstance(breaks, list) or not breaks:
        return False
    if not all(type(point) in (int, float) for point in breaks):
        return False
    return all(low < high for low, high in zip(breaks, breaks[1:]))


def count(columns, rows, name):
    levels, found = categories(columns, rows, name)
    if not found:
        return not_available("count", name)
    return frequencies("count", name, {"var": name, "levels": levels}, len(levels), found)


def histogram(columns, rows, name, breaks):
    values = numbers(columns, rows, name)
    if not values:
        return not_available("histogram", name)
    # Left-closed: a value on a break belongs to the interval that begins there. The outer two are open.
    found = [bisect_right(breaks, value) for value in values]
    return frequencies("histogram", name, {"var": name, "breaks": breaks}, len(breaks) + 1, found)


def mean(columns, rows, name):
    values = numbers(columns, rows, name)
    if not values:
        return not_available("mean", name)
    n = len(values)
    # fsum is exact: the order of the rows does not matter.
    average = math.fsum(values) / n
    squares = math.fsum((value - average) ** 2 for value in values)
    largest = sorted((abs(value) for value in values), reverse=True)
    group = {
        "k": [],
        "n": n,
        "mean": average,
        "sd": math.sqrt(squares / (n - 1)) if n > 1 else None,
        "evidence": {
            "absSum": math.fsum(largest),
            "absMax": largest[0],
            "absTop2Sum": math.fsum(largest[:2]),
        },
    }
    output = {"id": output_id("mean", name), "kind": "LinearAggregations", "var": name, "dims": [], "groups": [group]}
    if "unit" in columns[name]:
        output["unit"] = columns[name]["unit"]
    return output


def frequencies(what, name, dimension, size, found):
    """All cells of one dimension, empty ones too; `found` has the cell of each patient."""
    cells = [{"k": [k], "n": found.count(k)} for k in range(size)]
    return {"id": output_id(what, name), "kind": "Frequencies", "dims": [dimension], "cells": cells}


def not_available(what, name):
    return {"id": output_id(what, name), "kind": "NotAvailable", "var": name}


def output_id(what, name):
    return f"{what}.{name.lower()}"[:64]
