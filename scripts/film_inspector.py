"""Film the inspector for the README: a run of the review loop, then a branch of it with another budget of words.

    python -m scripts.film_inspector [FOLDER]

It is filmed by day and by night: FOLDER, docs/pictures by default, gets inspector.webp, inspector_dark.webp, and
pictures of some pages, as inspector_run.png and inspector_run_dark.png. Chromium shows the pages, and compresses of
each frame what differs from the last one; the frames are put into one file here, as the WebP container format describes
animations. Three small pictures of a shop's day, today.png, why_not.png and graph.png, stand side by side in the README
and on the first page of the site.
Source: https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import struct
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from playwright.sync_api import expect, sync_playwright

from graphengine import Runner
from graphengine.records.export import import_run, parse
from scripts import shop_day
from tests.serve.inspector.conftest import CHROMIUM, served

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from playwright.sync_api import Browser, FloatRect, Page, ViewportSize

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = ROOT / "docs" / "pictures"
SCHEMES: Final[Mapping[Literal["light", "dark"], str]] = {"light": "", "dark": "_dark"}
"""How the names of the files end in each theme."""
WINDOW: Final[ViewportSize] = {"width": 1440, "height": 810}
HALF: Final[ViewportSize] = {"width": 640, "height": 500}
"""The window of a picture that is shown in half a column. What stands below PART is left out."""
PART: Final[FloatRect] = {"x": 0, "y": 0, "width": 640, "height": 440}
TALL: Final[ViewportSize] = {"width": 640, "height": 650}
HALF_SCALE: Final = 1.5
SECONDS_A_NODE: Final = "1.0"
SETTLED_MILLISECONDS: Final = 300
GREW_OR_OVER: Final = """count => document.querySelectorAll(".tr").length > count
  || document.querySelector(".outcome .ends")?.textContent.includes("finished")"""
PATIENT: Final = 60_000
QUALITY: Final = 0.35
SCALE: Final = 0.6
COMPRESS: Final = """async ([png, quality]) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const {width, height} = image, canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const now = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer), last = window.last;
  window.last = now;
  let [left, top, right, bottom] = last ? [width, height, 0, 0] : [0, 0, width, height];
  for (let y = 0, at = 0; last && y < height; y++) for (let x = 0; x < width; x++, at++) if (now[at] !== last[at]) {
    left = Math.min(left, x); right = Math.max(right, x + 1); top = Math.min(top, y); bottom = y + 1;
  }
  if (right <= left) return null;
  left &= ~1; top &= ~1;
  const part = new OffscreenCanvas(right - left, bottom - top);
  part.getContext("2d").drawImage(image, -left, -top);
  const bytes = new Uint8Array(await (await part.convertToBlob({type: "image/webp", quality})).arrayBuffer());
  const data = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return {left, top, width: part.width, height: part.height, data};
}"""


class Part(TypedDict):
    """The part of the picture that one frame changes: a rectangle, and its new pixels as a WebP file in base64."""

    left: int
    top: int
    width: int
    height: int
    data: str


@dataclass
class Film:
    """A film of a web page, which grows frame by frame.

    Attributes:
        shown: The page that is filmed.
        encoder: Another page of the browser, whose script compresses the frames.
        folder: The folder for the files.
        ending: The end of the files' names, which depends on the theme.
        frames: The part of the picture that each frame changes, and how many milliseconds the frame is shown.
    """

    shown: Page
    encoder: Page
    folder: Path
    ending: str
    frames: list[tuple[Part, int]] = field(default_factory=list)

    def frame(self, milliseconds: int) -> None:
        """Add the page as it is now as a frame that is shown for this time. An unchanged page adds no frame."""
        png = base64.b64encode(self.shown.screenshot()).decode()
        part: Part | None = self.encoder.evaluate(COMPRESS, [png, QUALITY])
        if part is not None:
            self.frames.append((part, milliseconds))

    def still(self, name: str) -> None:
        """Save the page as it is now as a picture beside the film."""
        self.shown.screenshot(path=self.folder / f"inspector_{name}{self.ending}.png")

    def until_over(self) -> None:
        """Film the page of a run until the run is over, with one frame for each step."""
        steps, is_over = self.shown.locator(".tr"), False
        while not is_over:
            count = steps.count()
            self.frame(210)
            self.shown.wait_for_function(GREW_OR_OVER, arg=count)
            self.shown.wait_for_timeout(SETTLED_MILLISECONDS)
            is_over = self.shown.locator(".outcome .ends", has_text="finished").count() > 0

    def webp(self) -> bytes:
        """Return the film as an animated WebP file."""
        width, height = self.frames[0][0]["width"], self.frames[0][0]["height"]
        body = b"WEBP" + chunk(b"VP8X", struct.pack("<B3x", 2) + u24(width - 1) + u24(height - 1))
        body += chunk(b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0))
        for part, milliseconds in self.frames:
            place = (part["left"] // 2, part["top"] // 2, part["width"] - 1, part["height"] - 1, milliseconds)
            head = b"".join(u24(number) for number in place) + b"\x02"  # drawn over the last frame as it is
            body += chunk(b"ANMF", head + pixels(base64.b64decode(part["data"])))
        return chunk(b"RIFF", body)


def u24(number: int) -> bytes:
    """Encode a number in three bytes, as WebP files require."""
    return number.to_bytes(3, "little")


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of a RIFF file, such as a WebP file. A chunk must have an even length."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def pixels(file: bytes) -> bytes:
    """Return the chunk of a WebP picture that contains its pixels."""
    at = 12
    while file[at : at + 4] not in (b"VP8 ", b"VP8L"):
        length = struct.unpack_from("<I", file, at + 4)[0]
        at += 8 + length + length % 2
    return file[at:]


def play(film: Film, url: str) -> None:
    """Film the story: start a run, look at one of its steps, and branch the run there."""
    page = film.shown
    base, _, token = url.partition("/#")
    page.goto(f"{base}/graphs#{token}")
    page.get_by_role("link", name="start a run").click()
    page.get_by_label("run id").fill("brief")
    page.get_by_role("button", name="Start the run").click()
    page.locator(".tr").first.wait_for()
    film.until_over()
    film.frame(900)
    page.locator(".tr[data-seq='4']").click()
    page.get_by_role("tab", name="Why this way").click()
    film.frame(900)
    film.still("run")
    page.get_by_role("button", name=re.compile("run from here", re.IGNORECASE)).click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="change word_budget").click()
    film.frame(500)
    drawer.get_by_label("word_budget", exact=True).fill("600")
    expect(drawer.get_by_label("Preview")).to_contain_text("are shared")
    drawer.get_by_label("id of the branch").fill("longer")
    film.frame(900)
    film.still("branch")
    drawer.get_by_role("button", name="Begin the branch").click()
    expect(page.locator("header .id")).to_have_text("longer")
    film.until_over()
    film.frame(1200)
    page.get_by_role("link", name="compare").click()
    expect(page.locator(".vs")).to_be_visible()
    film.frame(1200)
    film.still("compare")
    page.goto(base)
    expect(page.locator(".row[data-run=longer]")).to_contain_text("finished")
    film.still("runs")


async def record(database: Path) -> None:
    """Import the recorded runs of the gallery, so that the list of runs in the film is not empty."""
    async with Runner(database) as runner:
        for file in sorted((ROOT / "checkpoints" / "gallery").glob("*.json")):
            await import_run(runner.store, parse(file.read_bytes(), file.name))


def shoot(browser: Browser, scheme: Literal["light", "dark"], folder: Path) -> None:
    """Film the inspector in the light or the dark theme, and write the film to a file."""
    context = browser.new_context(viewport=WINDOW, device_scale_factor=SCALE, color_scheme=scheme)
    context.set_default_timeout(PATIENT)
    film = Film(context.new_page(), browser.new_page(), folder, SCHEMES[scheme])
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor() as pool:
        database = Path(place, "runs.db")
        pool.submit(asyncio.run, record(database)).result()
        with served(database, "--drive", "--graph", "scripts/slow_review_loop.py") as url:
            play(film, url)
            context.close()
    file = folder / f"inspector{film.ending}.webp"
    file.write_bytes(film.webp())
    seconds = sum(milliseconds for _, milliseconds in film.frames) / 1000
    print(f"{file}: {len(film.frames)} frames, {seconds:.1f} s, {file.stat().st_size / 1000:.0f} kB")


def shoot_day(browser: Browser, scheme: Literal["light", "dark"], folder: Path) -> None:
    """Make three still pictures in one theme.

    They show the summary of a day, why a run did not take an edge, and this run in its graph.
    """
    context = browser.new_context(viewport=HALF, device_scale_factor=HALF_SCALE, color_scheme=scheme)
    context.set_default_timeout(PATIENT)
    page = context.new_page()

    def still(name: str, top: float = 0) -> None:
        page.wait_for_timeout(SETTLED_MILLISECONDS)
        page.screenshot(path=folder / f"{name}{SCHEMES[scheme]}.png", clip={**PART, "y": top})

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor() as pool:
        database = Path(place, "runs.db")
        pool.submit(asyncio.run, shop_day.record(database)).result()
        with served(database) as url:
            base, _, token = url.partition("/#")
            page.goto(f"{base}/today#{token}")
            expect(page.get_by_role("main")).to_contain_text("v53 of checkout fails")
            still("today")
            page.goto(f"{base}/run?id={shop_day.ASKED}&pane=graph")
            page.locator(".g").get_by_role("button", name=re.compile("why: .*risky")).press("Enter")
            expect(page.locator(".why-not")).to_contain_text("did not hold")
            still("why_not")
            page.set_viewport_size(TALL)
            page.goto(f"{base}/graph?graph=checkout")
            page.get_by_role("button", name="fit").click()
            drawn = page.locator("section.picture").bounding_box()
            still("graph", drawn["y"] if drawn else 0)
            context.close()


def main(folder: Path) -> None:
    """Make the film and the pictures in both themes."""
    expect.set_options(timeout=PATIENT)
    os.environ["SLOW_SECONDS"] = SECONDS_A_NODE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in SCHEMES:
            shoot_day(browser, scheme, folder)
            shoot(browser, scheme, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
