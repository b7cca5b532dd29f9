"""Step "combine": the stations' released results become one answer, on the researcher's machine."""

import json
import math
import os
import sys

from station import output_id, parameters_of

NOTES = [
    "Numbers are as the stations released them: small counts suppressed, the",
    "others rounded (commonly to 5), means and SDs to 4 significant digits;",
    "totals, pooled means and SDs are therefore approximate.",
]


def combine(request):
    results = read_cargo()
    counts, means, histograms = parameters_of(request)
    values = {"stations": len(results)}
    sections = [mean_section(results, name, values) for name in means]
    for what, names in (("count", counts), ("histogram", list(histograms))):
        sections += [table_section(results, what, name, values) for name in names]
    sections.append({"heading": "Who took part", "lines": list(results)})
    sections.append({"heading": "How to read this", "lines": NOTES})
    return {
        "schema": "pht-answer/v1",
        "title": f"Cohort summary of {len(results)} stations",
        "sections": sections,
        "values": values,
    }


def read_cargo():
    """Each station's outputs by id."""
    results = {}
    for name in sorted(os.listdir("/cargo")):
        if name.endswith(".json"):
            with open(f"/cargo/{name}", encoding="utf-8") as file:
                outputs = json.load(file)["outputs"]
            results[name.removesuffix(".json")] = {output["id"]: output for output in outputs}
    if not results:
        sys.exit("there is no result to combine")
    return results


def mean_section(results, name, values):
    by_station = {station: outputs.get(output_id("mean", name)) for station, outputs in results.items()}
    rows = [[short(station), *mean_cells(output)] for station, output in by_station.items()]
    released = [group for group in map(group_of, by_station.values()) if group is not None]
    n, mean, sd = pool(released)
    rows.append([f"pooled ({len(released)} of {len(results)})", text(n), number(mean), number(sd)])
    for what, value in (("n", n), ("mean", mean), ("sd", sd)):
        values[f"{what}.{name}"] = value
    unit = next((f" ({output['unit']})" for output in by_station.values() if output and "unit" in output), "")
    columns = ["Station", "n", "Mean", "SD"]
    return {"heading": short(f"Mean of {name}{unit}", 76), "table": {"columns": columns, "rows": rows}}


def group_of(output):
    """The one group of a mean, unless it was suppressed, withheld or not available."""
    if output is None or output["kind"] != "LinearAggregations":
        return None
    group = output["groups"][0]
    return group if group["n"] and group["mean"] is not None else None


def mean_cells(output):
    if output is not None and output["kind"] == "NotAvailable":
        return ["not available there", "-", "-"]
    group = group_of(output)
    if group is None:
        return ["suppressed", "-", "-"]
    return [text(group["n"]), number(group["mean"]), number(group["sd"])]


def pool(groups):
    """n, mean and SD (n - 1) of all values together, from each group's own; README.md has the formula."""
    n = sum(group["n"] for group in groups)
    if n == 0:
        return None, None, None
    mean = math.fsum(group["n"] * group["mean"] for group in groups) / n
    if n == 1 or any(group["sd"] is None and group["n"] > 1 for group in groups):
        return n, mean, None
    within = math.fsum((group["n"] - 1) * (group["sd"] or 0) ** 2 for group in groups)
    between = math.fsum(group["n"] * (group["mean"] - mean) ** 2 for group in groups)
    return n, mean, math.sqrt((within + between) / (n - 1))


def table_section(results, what, name, values):
    identity = output_id(what, name)
    absent = [s for s, outputs in results.items() if kind_of(outputs.get(identity)) == "NotAvailable"]
    outputs = [outputs.get(identity) for s, outputs in results.items() if s not in absent]
    known = [output for output in outputs if output is not None]
    heading = f"{'Histogram' if what == 'histogram' else 'Counts'} of {name}"
    section = {"heading": short(heading, 76), "lines": [f"{station}: not available there" for station in absent]}
    if not known:
        section["lines"].append("No station released this table.")
        return section
    rows = []
    for k, label in enumerate(labels_of(known[0]["dims"][0])):
        cells = [cell(output, k) for output in outputs]
        suppressed = cells.count(None)
        # A sum over only some stations would read like a total.
        total = None if suppressed else sum(cells)
        rows.append([short(label, 40), f"suppressed at {suppressed} of {len(cells)}" if suppressed else text(total)])
        values[f"{what}.{name}.{label}"] = total
    section["table"] = {"columns": [short(name, 40), "Patients"], "rows": rows}
    return section


def kind_of(output):
    return None if output is None else output["kind"]


def cell(output, k):
    if output is None:
        return None
    return next((entry["n"] for entry in output["cells"] if entry["k"] == [k]), None)


def labels_of(dimension):
    if "levels" in dimension:
        return dimension["levels"]
    breaks = [f"{point:g}" for point in dimension["breaks"]]
    inner = [f"{low} to < {high}" for low, high in zip(breaks, breaks[1:])]
    return [f"< {breaks[0]}", *inner, f">= {breaks[-1]}"]


def text(value):
    return "-" if value is None else str(value)


def number(value):
    return "-" if value is None else f"{value:.4g}"


def short(name, width=26):
    return name if len(name) <= width else f"{name[: width - 1]}~"
