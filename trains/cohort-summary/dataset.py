"""Reads a station's dataset as its description says: columns, levels and missing codes."""

import csv
import json
import math
import re
import sys

# Narrower than float(), which also takes "nan", "inf" and "1_000".
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


def read_dataset(dataset_id):
    """Returns the described columns by name and the rows of all files as dicts of text."""
    folder = f"/data/{dataset_id}"
    with open(f"{folder}/dataset.json", encoding="utf-8") as file:
        description = json.load(file)
    rows = []
    for name in description["files"]:
        rows += read_rows(f"{folder}/{name}", name)
    if not rows:
        sys.exit("the dataset has no rows")
    return {column["name"]: column for column in description["columns"]}, rows


def read_rows(path, name):
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        header = next(lines, None)
        if header is None:
            sys.exit(f"{name} is empty")
        rows = []
        for line in lines:
            if not line:
                continue
            if len(line) != len(header):
                sys.exit(f"{name}, line {lines.line_num}: not as many fields as the header")
            rows.append(dict(zip(header, (field.strip() for field in line))))
        return rows


def described(columns, rows, name):
    """The station's description of a column that its files really have."""
    if name not in columns:
        sys.exit(f"the station describes no column {name}")
    if name not in rows[0]:
        sys.exit(f"the files have no column {name}")
    return columns[name]


def numbers(columns, rows, name):
    """The valid values of a numeric column. A missing code counts by value: 0 also means 0.0."""
    missing = described(columns, rows, name).get("missing", [])
    missing_numbers = {float(code) for code in missing if NUMBER.match(code)}
    values = []
    for row, text in enumerate((row.get(name, "") for row in rows), start=1):
        if text == "" or text in missing:
            continue
        value = float(text) if NUMBER.match(text) else math.inf
        if not math.isfinite(value):
            sys.exit(f"the column {name} is not a number in row {row}")
        if value not in missing_numbers:
            values.append(value)
    return values


def categories(columns, rows, name):
    """The codebook's levels, and for each valid value the position of its level; "1.0" is also level "1"."""
    column = described(columns, rows, name)
    levels = column.get("levels")
    if not levels:
        sys.exit(f"the station describes no levels of {name}")
    missing = column.get("missing", [])
    place = {level: k for k, level in enumerate(levels)}
    by_value = {float(level): k for k, level in enumerate(levels) if NUMBER.match(level)}
    found = []
    for row, text in enumerate((row.get(name, "") for row in rows), start=1):
        if text == "" or text in missing:
            continue
        k = place.get(text)
        if k is None and NUMBER.match(text):
            k = by_value.get(float(text))
        if k is None:
            sys.exit(f"the column {name} is outside its levels in row {row}")
        found.append(k)
    return levels, found
