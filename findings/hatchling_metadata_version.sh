#!/bin/sh
# hatchling writes a version of the metadata that a twine of the same year refuses to check and to upload.
#
# hatchling 1.33.0 writes "Metadata-Version: 2.5" into each wheel, whether the project uses what is new in it or not. twine 6.2.0 ends with "InvalidDistribution: '2.5' is not a valid metadata version"; twine 7.0.0 takes it. A project
# that builds with the one and uploads with a workflow's action, whose image has another twine than the project's own
# environment, passes its checks and fails on the day of the release. With `core-metadata-version = "2.4"` both take it.
#
# Found in a dry run of a release: `twine check` of the project's environment passed, that of an older one did not.
#
# Seen with Python 3.11, hatchling 1.33.0, twine 6.2.0 and 7.0.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for each in 6 7; do python3 -m venv "twine$each"; done
twine6/bin/pip install --quiet --disable-pip-version-check hatchling==1.33.0 twine==6.2.0 2>/dev/null
twine7/bin/pip install --quiet --disable-pip-version-check twine==7.0.0 2>/dev/null
mkdir tried
echo "" >tried/tried.py
built() { # more settings of the wheel
  printf '%s\n' '[build-system]' 'requires = ["hatchling"]' 'build-backend = "hatchling.build"' '[project]' \
    'name = "tried"' 'version = "1"' '[tool.hatch.build.targets.wheel]' 'include = ["tried.py"]' "$1" >tried/pyproject.toml
  rm -rf tried/dist
  (cd tried && ../twine6/bin/python -m hatchling build -t wheel >/dev/null 2>&1)
  for each in 6 7; do
    if "twine$each/bin/twine" check tried/dist/*.whl >/dev/null 2>&1; then printf 'taken '; else printf 'refused '; fi
  done
}
newest=$(built "")
older=$(built 'core-metadata-version = "2.4"')
echo "by twine 6.2.0 and 7.0.0: $newest; with core-metadata-version 2.4: $older"
[ "$newest$older" = "refused taken taken taken " ] || { echo "changed" >&2; exit 1; }
