"""Holds `edgelip-train synsets` against NLTK on captions of a Parquet file.

    python scripts/compare_wordnet.py target/release/edgelip-train /usr/share/wordnet captions.parquet [count]

Needs nltk and pyarrow. NLTK's reader wants a file `lexnames` that Debian's package leaves out; its content does not matter here.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import nltk
import pyarrow.parquet as parquet
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.tokenize import TreebankWordTokenizer

FILES = [f"{kind}.{part}" for kind in ("index", "data") for part in ("noun", "verb", "adj", "adv")]
FILES += [f"{part}.exc" for part in ("noun", "verb", "adj", "adv")]


class Reader(WordNetCorpusReader):
    """Without the mapping to other versions, for which NLTK wants its own download."""

    def map_wn(self, version="wordnet"):
        return None


def reader(folder):
    copy = tempfile.mkdtemp()
    for name in FILES:
        shutil.copy(os.path.join(folder, name), copy)
    with open(os.path.join(copy, "lexnames"), "w") as lexnames:
        lexnames.writelines(f"{i:02}\tname{i}\t1\n" for i in range(45))
    nltk.data.path.append(copy)
    return Reader(copy, None)


def synsets(net, caption):
    """The first noun sense of each word's shortest lemma, if the synset is named after it."""
    found = []
    for word in TreebankWordTokenizer().tokenize(caption.lower().rstrip(". ")):
        lemma = min(net._morphy(word, "n"), key=len, default=word)
        try:
            synset = net.synset(f"{lemma}.n.01")
        except Exception:
            continue
        key = f"n{synset.offset()}"
        if synset.name().split(".n.")[0] == lemma and key not in found:
            found.append(key)
    return found


def main():
    binary, folder, data, *count = sys.argv[1:]
    rows = parquet.read_table(data, columns=["captions"]).column("captions").to_pylist()
    captions = [caption.replace("\n", " ") for row in rows for caption in row][: int(count[0]) if count else 1000]
    ours = subprocess.run([binary, "synsets", "--wordnet", folder], input="\n".join(captions) + "\n", text=True, capture_output=True, check=True)
    net = reader(folder)
    wrong = 0
    for caption, line in zip(captions, ours.stdout.splitlines(), strict=True):
        expected = synsets(net, caption)
        if sorted(line.split()) != sorted(expected):
            wrong += 1
            print(f"{caption!r}\n  ours {line.split()}\n  nltk {expected}")
    print(f"{len(captions) - wrong} of {len(captions)} captions have the same synsets")
    sys.exit(wrong > 0)


main()
