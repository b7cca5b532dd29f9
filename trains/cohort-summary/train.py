"""Cohort summary: counts, means and histograms of named columns at each station. See README.md."""

import csv
import json
import sys

from combine import combine
from station import run_station


def main():
    with open("/train/request.json", encoding="utf-8") as file:
        request = json.load(file)
    steps = {"run": run_station, "combine": combine}
    if request["step"] not in steps:
        sys.exit(f"unknown step {request['step']}")
    answer = steps[request["step"]](request)
    with open("/out/result.json", "w", encoding="utf-8") as file:
        json.dump(answer, file, allow_nan=False, ensure_ascii=False)


if __name__ == "__main__":
    try:
        main()
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        # One line for the station's log; sys.exit(text) elsewhere does the same.
        sys.exit(f"cannot read its input: {error}")
