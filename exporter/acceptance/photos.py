"""Real photos as PNG files, so that every decoder gives the same pixels."""

import io
import random
from pathlib import Path

from PIL import Image

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "photos"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def of_folder(folder: Path) -> list[Image.Image]:
    """The photos of a folder, in the order of their names."""
    return [Image.open(path).convert("RGB") for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]


def of_parquet(path: Path, count: int) -> list[Image.Image]:
    """Evenly spaced photos of the column `image` of a parquet file."""
    import pyarrow.parquet as parquet

    column = parquet.read_table(path, columns=["image"]).column("image")
    step = max(1, len(column) // count)
    cells = [column[i].as_py() for i in range(0, len(column), step)][:count]
    return [Image.open(io.BytesIO(cell["bytes"] if isinstance(cell, dict) else cell)).convert("RGB") for cell in cells]


def crop(photo: Image.Image, chance: random.Random) -> Image.Image:
    """A random part of a photo, at least half as wide and half as high."""
    width, height = (int(side * chance.uniform(0.5, 1.0)) for side in photo.size)
    left, top = chance.randint(0, photo.width - width), chance.randint(0, photo.height - height)
    return photo.crop((left, top, left + width, top + height))


def write(source: Path | None, count: int, folder: Path) -> list[Path]:
    """Writes `count` photos of a folder or a parquet file to `folder`; crops fill up where there are fewer."""
    source = source or FIXTURES
    photos = of_folder(source) if source.is_dir() else of_parquet(source, count)
    if not photos:
        raise SystemExit(f"error: no photos in {source}")
    chance = random.Random(0)
    chosen = photos[:count] + [crop(chance.choice(photos), chance) for _ in range(count - len(photos))]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04}.png" for i in range(len(chosen))]
    for path, photo in zip(paths, chosen):
        photo.save(path)
    return paths
