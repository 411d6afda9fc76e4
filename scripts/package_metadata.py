"""Make the addresses in the package's metadata: its links on the package index, and those in its README.

hatchling calls this file when it builds. The address of the repository is set in pyproject.toml, once, and the README
keeps its relative links: they hold in every clone and on the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK: Final = re.compile(
    r"(?:^```.*?^```|`[^`\n]*`)|(?P<text>!\[[^\]]*\]|\])\((?![a-z]+:|\#)(?P<path>[^)\s]+)\)"
    r"|(?P<attribute>src|srcset)=\"(?![a-z]+:)(?P<file>[^\"]+)\"",
    re.DOTALL | re.MULTILINE,
)
"""Code, which stays as it is, a relative link, or the file of a picture in HTML.

`text` is the whole text of a picture in Markdown, and the end of a link's.
"""


class AddressesHook(MetadataHookInterface):
    """A build hook of hatch that sets `urls` and `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the two fields. Links in the README lead to the files of this version, which the version's tag names."""
        repository = self.config["repository"]
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["urls"] = urls(repository)
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(readme, repository, f"v{metadata['version']}"),
        }


def urls(repository: str) -> dict[str, str]:
    """Return the links of the project on a package index, by labels that package indexes recognize."""
    return {
        "Source": repository,
        "Documentation": f"{repository}/blob/main/docs/README.md",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def absolute(page: str, repository: str, tag: str) -> str:
    """Make the links and pictures of a Markdown page absolute, except inside code.

    The page is in the repository's root.
    """

    def changed(link: re.Match[str]) -> str:
        if link["file"] is not None:
            return f'{link["attribute"]}="{repository}/raw/{tag}/{link["file"]}"'
        if link["path"] is None:
            return link[0]
        kind = "raw" if link["text"].startswith("!") else "blob"
        return f"{link['text']}({repository}/{kind}/{tag}/{link['path']})"

    return _LINK.sub(changed, page)
