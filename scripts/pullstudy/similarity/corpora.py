"""The text corpora whose documents are compared, each as it should be and as the paper made it.

What the paper describes and what its program did differ: the program turned every character that
it set out to remove into a space, and it never emptied the token list between the layers of an
image. Corpora `*_as_published` follow the program, the others the description, with a layer's own
text only. Documents of a corpus are embedded by the words of a corpus in which each text stands
once, so that copies of a base image do not decide what words mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pullstudy.text import (
    PROGRAM_DOCKERFILE_RULES,
    PROGRAM_RULES,
    write_dockerfile_documents,
    write_image_documents,
    write_layer_documents,
)


class Corpus(NamedTuple):
    """How a corpus is written: from which tables, by what, and whose words embed it.

    A corpus that is compared has a cosine histogram; another one only gives words. Means of word
    vectors have a large common part; `is_centred` takes it off before documents are compared.
    """

    tables: tuple[str, ...]
    write: Callable[..., int]
    embedded_by: str
    is_compared: bool = True
    is_centred: bool = False


CORPORA: Mapping[str, Corpus] = {
    "layers": Corpus(
        ("history",),
        partial(write_layer_documents, layers_only=True),
        "unique_layers",
        is_compared=False,
    ),
    "unique_layers": Corpus(
        ("history",),
        partial(write_layer_documents, layers_only=True, unique=True),
        "unique_layers",
        is_centred=True,
    ),
    "images": Corpus(("history",), write_image_documents, "unique_layers", is_centred=True),
    "dockerfiles": Corpus(
        ("dockerfiles", "instructions"),
        write_dockerfile_documents,
        "dockerfiles",
        is_centred=True,
    ),
    "lines_as_published": Corpus(
        ("history",),
        partial(write_layer_documents, unique=True, rules=PROGRAM_RULES),
        "lines_as_published",
        is_compared=False,
    ),
    "unique_layers_as_published": Corpus(
        ("history",),
        partial(write_layer_documents, cumulative=True, unique=True, rules=PROGRAM_RULES),
        "lines_as_published",
    ),
    "images_as_published": Corpus(
        ("history",), partial(write_image_documents, rules=PROGRAM_RULES), "lines_as_published"
    ),
    "dockerfiles_as_published": Corpus(
        ("dockerfiles",),
        partial(write_dockerfile_documents, rules=PROGRAM_DOCKERFILE_RULES),
        "dockerfiles_as_published",
    ),
}
COMPARED = tuple(name for name, corpus in CORPORA.items() if corpus.is_compared)


def write_corpus(name: str, tables: Mapping[str, Path], path: Path) -> int:
    """Write the corpus `name` from the tables that it names as table `documents`; return how many.

    tables: name -> Parquet file, at least those of `CORPORA[name].tables`.
    """
    corpus = CORPORA[name]
    first, *others = corpus.tables
    return corpus.write(tables[first], path, **{other: tables[other] for other in others})
