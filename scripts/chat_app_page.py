"""Build the page that `graphengine new --from chat_app` copies: `python -m scripts.chat_app_page`.

`make servers` installs what it needs: its packages are those of the front end tests. A test builds it again, and
compares.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CLIENTS: Final = ROOT / "tests" / "serve" / "service" / "front_end_clients"
APP: Final = ROOT / "graphengine" / "cli" / "new_project" / "chat_app" / "app"
_FLAGS: Final = (
    "--bundle",
    "--minify",
    "--format=esm",
    "--jsx=automatic",
    "--legal-comments=none",
    "--define:process.env.NODE_ENV='production'",
)


def built(page: str, metafile: Path | None = None) -> str:
    """Bundle a page and everything that it imports into one JavaScript file, with esbuild.

    Args:
        page: The source of the page, a module that can contain JSX.
        metafile: Where to write which source files the bundle contains.
    """
    words = [str(CLIENTS / "node_modules" / ".bin" / "esbuild"), "--loader=jsx", *_FLAGS]
    with TemporaryDirectory() as folder:
        words += ["--outfile=" + str(Path(folder) / "chat.js"), f"--metafile={metafile or Path(folder) / 'meta'}"]
        subprocess.run(words, cwd=CLIENTS, input=page, text=True, check=True, capture_output=True)
        return (Path(folder) / "chat.js").read_text(encoding="utf-8")


def files() -> dict[str, str]:
    """Build the page, and return the files to store by name: the bundle, and the licenses of its packages."""
    with TemporaryDirectory() as folder:
        text = built((APP / "chat.jsx.in").read_text(encoding="utf-8"), Path(folder) / "meta")
        inputs = json.loads((Path(folder) / "meta").read_text(encoding="utf-8"))["inputs"]
    paths = sorted({path.split("node_modules/")[1] for path in inputs if "node_modules/" in path})
    names = sorted({"/".join(path.split("/")[: 2 if path.startswith("@") else 1]) for path in paths})
    return {"chat.js.in": text, "LICENSES.txt.in": "\n".join(_license_of(name) for name in names)}


def _license_of(name: str) -> str:
    folder = CLIENTS / "node_modules" / name
    about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    texts = sorted(file for file in folder.iterdir() if file.name.lower().startswith(("license", "licence")))
    text = texts[0].read_text(encoding="utf-8") if texts else ""
    return f"{'=' * 80}\n{name} {about['version']}: {about['license']}\n\n{text.strip()}\n"


if __name__ == "__main__":
    for name, text in files().items():
        (APP / "built" / name).write_text(text, encoding="utf-8")
