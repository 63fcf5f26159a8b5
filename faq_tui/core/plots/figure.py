"""Write a figure of polygons, lines and labels as SVG and as PNG.

The SVG is written by hand. The PNG is drawn by Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

from faq_tui.core.plots.colours import Rgb, hexadecimal

if TYPE_CHECKING:
    from PIL.Image import Image

INK, GREY, PALE = (34, 34, 34), (130, 130, 130), (222, 222, 222)
SMOOTH = 2  # the PNG is first drawn this many times larger, so that its edges become smooth
FONT = "Helvetica, Arial, sans-serif"
OTHER_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")  # for other scripts

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Polygon:
    """A filled shape, an outline, or both. The last point is connected with the first one."""

    points: tuple[Point, ...]
    fill: Rgb | None = None
    stroke: Rgb | None = None
    width: float = 0.5  # of the outline


@dataclass(frozen=True)
class Stroke:
    start: Point
    end: Point
    stroke: Rgb = INK
    width: float = 1.0


@dataclass(frozen=True)
class Label:
    """One line of text. `y` is its baseline. If `turned` is true, the text goes upwards."""

    x: float
    y: float
    text: str
    size: int = 13
    anchor: Anchor = "start"
    bold: bool = False
    turned: bool = False


@dataclass
class Figure:
    """The shapes of a figure, in the order in which they are drawn. All lengths are in pixels of the SVG."""

    title: str
    width: int
    height: int
    shapes: list[Polygon | Stroke | Label] = field(default_factory=list)

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: Rgb | None, stroke: Rgb | None = None
    ) -> None:
        corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
        self.shapes.append(Polygon(corners, fill, stroke, 1.0))


def svg(figure: Figure) -> str:
    """The figure as an SVG file on a white ground."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{figure.width}" height="{figure.height}" '
        f'viewBox="0 0 {figure.width} {figure.height}" role="img" font-family="{FONT}" stroke-linejoin="round">'
    )
    ground = f'<rect width="{figure.width}" height="{figure.height}" fill="white"/>'
    shapes: list[str] = []
    for fill, group in groupby(figure.shapes, _fill_of_box):
        alike = list(group)
        shapes += [_svg_of_boxes(fill, alike)] if fill else map(_svg_of, alike)
    return "\n".join([head, f"<title>{escape(figure.title)}</title>", ground, *shapes, "</svg>"]) + "\n"


def _fill_of_box(shape: Polygon | Stroke | Label) -> Rgb | None:
    """The colour of an upright rectangle without an outline; None for other shapes."""
    return shape.fill if isinstance(shape, Polygon) and shape.stroke is None and _box(shape.points) else None


def _svg_of_boxes(fill: Rgb, boxes: Iterable[Polygon | Stroke | Label]) -> str:
    """Upright rectangles of one colour as one path, which needs fewer characters than a `rect` for each."""
    path = ""
    for shape in boxes:
        box = _box(shape.points) if isinstance(shape, Polygon) else None
        if box is not None:
            left, top, right, bottom = box
            wide, high = f"{right - left:g}", f"{bottom - top:g}"
            path += f"M{left:g} {top:g}h{wide}v{high}h-{wide}z"
    return f'<path fill="{hexadecimal(fill)}" shape-rendering="crispEdges" d="{path}"/>'


def _svg_of(shape: Polygon | Stroke | Label) -> str:
    match shape:
        case Polygon(points, fill, stroke, width):
            paint = f'fill="{hexadecimal(fill) if fill else "none"}"'
            if stroke:
                paint += f' stroke="{hexadecimal(stroke)}" stroke-width="{width:g}"'
            corners = " ".join(f"{round(x, 1):g},{round(y, 1):g}" for x, y in points)
            return f'<polygon points="{corners}" {paint}/>'
        case Stroke((x, y), (to_x, to_y), stroke, width):
            ends = f'x1="{round(x, 1):g}" y1="{round(y, 1):g}" x2="{round(to_x, 1):g}" y2="{round(to_y, 1):g}"'
            return f'<line {ends} stroke="{hexadecimal(stroke)}" stroke-width="{width:g}"/>'
        case Label(x, y, text, size, anchor, bold, turned):
            place = f'x="{round(x, 1):g}" y="{round(y, 1):g}"'
            look = f'font-size="{size}" text-anchor="{anchor}" fill="{hexadecimal(INK)}"'
            look += ' font-weight="bold"' if bold else ""
            look += f' transform="rotate(-90 {round(x, 1):g} {round(y, 1):g})"' if turned else ""
            return f"<text {place} {look}>{escape(text)}</text>"


def _box(points: Sequence[Point]) -> tuple[float, float, float, float] | None:
    """(left, top, right, bottom) if the points are the corners of an upright rectangle; None for other points.

    The corners must be listed clockwise from the top left.
    """
    if len(points) != 4:
        return None
    (left, top), (right, bottom) = points[0], points[2]
    return (left, top, right, bottom) if points[1] == (right, top) and points[3] == (left, bottom) else None


def png(figure: Figure, scale: int = 2) -> bytes:
    """The figure as a PNG file of `scale` times its width and height."""
    from PIL import Image as Images
    from PIL import ImageDraw

    factor = scale * SMOOTH
    image = Images.new("RGB", (figure.width * factor, figure.height * factor), "white")
    pen = ImageDraw.Draw(image)
    for shape in figure.shapes:
        if isinstance(shape, Polygon):
            _fill(pen, shape, factor)
        elif isinstance(shape, Stroke):
            ends = [(x * factor, y * factor) for x, y in (shape.start, shape.end)]
            pen.line(ends, shape.stroke, max(1, round(shape.width * factor)))
    image = image.resize((figure.width * scale, figure.height * scale), Images.Resampling.BOX)
    for shape in figure.shapes:
        if isinstance(shape, Label):
            _write(image, shape, scale)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, dpi=(72 * scale, 72 * scale))
    return file.getvalue()


def _fill(pen: Any, shape: Polygon, factor: int) -> None:
    if box := _box(shape.points):
        # Pillow includes the right and the lower edge.
        left, top, right, bottom = (round(end * factor) for end in box)
        outline, width = shape.stroke, max(1, round(shape.width * factor))
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), shape.fill, outline, width)
        return
    corners = [(x * factor, y * factor) for x, y in shape.points]
    if shape.fill:
        pen.polygon(corners, shape.fill)
    if shape.stroke:
        pen.line([*corners, corners[0]], shape.stroke, max(1, round(shape.width * factor)))


def _write(image: Image, label: Label, scale: int) -> None:
    """Write the text. Pillow's font has no bold style, so bold text gets an outline of the same colour."""
    from PIL import Image as Images
    from PIL import ImageDraw

    font, stroke = _font(label.size * scale, label.text.isascii()), scale / 4 if label.bold else 0
    left = {"start": "ls", "middle": "ms", "end": "rs"}[label.anchor]
    if not label.turned:
        at = label.x * scale, label.y * scale
        ImageDraw.Draw(image).text(at, label.text, INK, font, left, stroke_width=stroke)
        return
    length, height = round(font.getlength(label.text)) + 2, label.size * scale * 2
    paper = Images.new("L", (length, height), 0)
    ImageDraw.Draw(paper).text((length / 2, height / 2), label.text, 255, font, "ms")
    paper = paper.rotate(90, expand=True)
    shift = {"start": length, "middle": length // 2, "end": 0}[label.anchor]
    image.paste(INK, (round(label.x * scale - height / 2), round(label.y * scale - shift)), paper)


@lru_cache(maxsize=16)
def _font(size: int, is_ascii: bool) -> Any:
    """Pillow's own font for ASCII text; for any other text, a font of this machine if possible.

    Pillow's font has few letters of other scripts.
    """
    from PIL import ImageFont

    for name in () if is_ascii else OTHER_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
