"""Write the versions that `make` installs: constraints.txt has one of every package that anything here can install.

`make pin` runs this file in an environment with uv. uv resolves once for every platform and every Python that
pyproject.toml allows. With its option for the fewest versions, it finds one per package that works on all of them,
so the file has only names and versions: no addresses, no markers, no paths.

tests/lowest.txt has the lowest versions of what users can install that pyproject.toml allows, with today's tools, for
`make lowest`. tests/wheel_tags.txt says for which Pythons and systems the index has wheels of what a user can install:
a test reads there whether anything would have to be compiled on macOS or Windows.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
TAGS = ROOT / "tests" / "wheel_tags.txt"
LOWEST = ROOT / "tests" / "lowest.txt"
OF_USERS = (
    *("anthropic", "bedrock", "mcp", "openai", "otel", "postgres", "pydantic-ai", "render", "sandbox", "secrets"),
    *("serve", "sources", "vertex"),
)
"""Without `ray`, which has no wheels for macOS on Intel: its package is chosen with a cluster in mind; and without
`memory`, which only makes searches faster."""
OLDEST_PYTHON = "3.11"
HEADER = """\
# Exact versions of everything that `make` installs, the same on every Python from {oldest} on.
# Written by `make pin` from the ranges in pyproject.toml; do not edit.
"""
HEADER_OF_LOWEST = """\
# The lowest versions that pyproject.toml allows, for `make lowest` on Python {oldest}.
# Written by `make pin`; do not edit.
"""
HEADER_OF_TAGS = """\
# The wheels of each pinned package that a user can install: name, version, tags. Written by `make pin`; do not edit.
"""
RESOLVE = ["pip", "compile", "pyproject.toml", "-", "--all-extras", "--no-config", "--quiet"]
ONE_VERSION_EACH = ["--universal", "--python-version", OLDEST_PYTHON, "--fork-strategy", "fewest"]
BARE_LINES = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9A-Za-z.!+]+)(?: ; .+)?")


def main() -> None:
    """Resolve the versions of all packages, and write constraints.txt and the two lists that are derived from it."""
    pins = one_version_each(resolve(unlisted()))
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    TARGET.write_text(HEADER.format(oldest=OLDEST_PYTHON) + lines, encoding="utf-8")
    print(f"{TARGET.name}: {len(pins)} packages")
    lines = "".join(f"{line}\n" for line in lowest(pins))
    LOWEST.write_text(HEADER_OF_LOWEST.format(oldest=OLDEST_PYTHON) + lines, encoding="utf-8")
    tags = wheel_tags()
    TAGS.write_text(HEADER_OF_TAGS + "".join(tags), encoding="utf-8")
    print(f"{TAGS.name}: {len(tags)} packages")


def lowest(pins: dict[str, str]) -> list[str]:
    """Return the pins of an environment with the lowest allowed versions of the packages that users install."""
    groups: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    tools = [name for line in groups["dev"] if (name := re.split(r"[^\w-]", line)[0]) in pins]
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml", "-", "--no-config"]
    extras = [word for extra in (*OF_USERS, "inspect") for word in ("--extra", extra)]
    more = ["--quiet", "--resolution", "lowest-direct", "--python-version", OLDEST_PYTHON, *extras, *BARE_LINES]
    given = "".join(f"{tool}=={pins[tool]}\n" for tool in tools)
    answer = subprocess.run([*command, *more], input=given, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return answer.stdout.splitlines()


def wheel_tags() -> list[str]:
    """Return a line for each package that a user can install: its name, its version, and the tags of its wheels."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml", "--no-config", "--quiet"]
    extras = [word for extra in OF_USERS for word in ("--extra", extra)]
    more = [*ONE_VERSION_EACH, *extras, "--constraints", str(TARGET), "--format", "pylock.toml"]
    answer = subprocess.run([*command, *more], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    lines: list[str] = []
    for package in tomllib.loads(answer.stdout)["packages"]:
        files = [wheel.get("name") or wheel["url"].rpartition("/")[2] for wheel in package.get("wheels", ())]
        tags = sorted({"-".join(file.removesuffix(".whl").split("-")[-3:]) for file in files})
        lines.append(" ".join((package["name"], package["version"], *tags)) + "\n")
    return lines


def unlisted() -> list[str]:
    """Return the requirements in pyproject.toml that no extra contains: those for the build and the dependency groups.

    Lines of a group that name an extra of this project are left out, because all extras are resolved anyway.
    """
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    own = content["project"]["name"]
    lines = [
        *content["build-system"]["requires"],
        *(line for group in content["dependency-groups"].values() for line in group),
    ]
    return [line for line in lines if not line.startswith(own)]


def resolve(also: list[str]) -> list[str]:
    """Let uv choose versions for all extras and for the requirements in `also`.

    Return uv's output, a line per package.
    """
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), *RESOLVE, *ONE_VERSION_EACH, *BARE_LINES]
    answer = subprocess.run(command, input="\n".join(also), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return answer.stdout.splitlines()


def one_version_each(lines: list[str]) -> dict[str, str]:
    """Return the version of each package. Exit with a message if a package would need several versions.

    Environment markers are removed, because a constraint only applies to packages that are installed anyway.
    """
    pins: dict[str, str] = {}
    for line in lines:
        found = PIN.fullmatch(line.strip())
        if found is None:
            sys.exit(f"Not a plain pin: {line!r}")
        name, version = found["name"], found["version"]
        if pins.setdefault(name, version) != version:
            sys.exit(f"No single version of {name} fits every Python: {pins[name]} and {version}")
    return pins


if __name__ == "__main__":
    main()
