"""Zero-shot image labelling: model files executed in place."""

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, Optional, Union

import numpy
from numpy.typing import NDArray

__version__: str

Path = Union[str, PathLike[str]]
# A path, an array of shape (height, width, 3), a Pillow image, or the bytes of an image file.
Image = Union[Path, bytes, NDArray[numpy.uint8], Any]

class Error(ValueError):
    """A model, an image or labels that can't be used; the text says which and why."""

class Model:
    """A model file that is open."""

    def __new__(cls, path: Path, *, text: Optional[Path] = None, threads: Optional[int] = None) -> Model: ...
    def classify(
        self,
        image: Image,
        labels: Optional[Iterable[str]] = None,
        *,
        top: Optional[int] = 5,
        template: Union[None, str, Sequence[str]] = None,
        text: Optional[Path] = None,
    ) -> list[tuple[str, float]]:
        """The labels that fit an image best: pairs of name and score, best first."""

    def embed(self, image: Image) -> NDArray[numpy.float32]:
        """An image's embedding: shape (embedding_size,), of length 1."""

    @property
    def labels(self) -> list[str]:
        """The labels in the model's file."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that the model sees, after its own resize and crop."""

    @property
    def embedding_size(self) -> int:
        """The number of values in an embedding."""
