"""Exits 1 unless two outputs of `edgelip classify --json` give the same labels in the same order with the same scores (to 1e-4)."""

import json
import sys

first, second = (json.load(open(path)) for path in sys.argv[1:3])
assert len(first) == len(second) > 0, "not the same images"
for a, b in zip(first, second):
    labels = [[entry["label"] for entry in image["labels"]] for image in (a, b)]
    if labels[0] != labels[1]:
        sys.exit(f"{a['image']}: {labels[0]} here, {labels[1]} there")
    for x, y in zip(a["labels"], b["labels"]):
        if abs(x["score"] - y["score"]) > 1e-4:
            sys.exit(f"{a['image']}: {x['label']} scores {x['score']} here, {y['score']} there")
print(f"{len(first)} images: the same labels")
