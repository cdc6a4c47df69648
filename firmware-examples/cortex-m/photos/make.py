"""Makes the raw photos that the firmware links in: RGB, 8 bits a channel, 144×96, no header.

Needs the Pillow of fixtures/requirements.txt.
"""

from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parents[2] / "fixtures" / "photos"
SIZE = (144, 96)


def main() -> None:
    for name in ["cat.png", "coffee.jpg", "rocket.webp"]:
        photo = Image.open(FIXTURES / name).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        (HERE / name).with_suffix(".rgb").write_bytes(photo.tobytes())


if __name__ == "__main__":
    main()
