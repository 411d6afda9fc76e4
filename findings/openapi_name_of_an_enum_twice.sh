#!/bin/sh
# orval and openapi-generator's typescript-fetch declare one name twice, for an enum of a parameter and one of a schema.
#
# The document below is valid: the operation `trends` has a parameter `by` with an enum, and the schema `Trends` has a
# property `by` with an enum. Names of operations and of schemas are different sets, so neither has to know the other.
# Both generators call the type of each enum after its owner and the field: orval 8.38.0 declares `TrendsBy` twice in one
# file (TS2451), openapi-generator 7.26.0 exports `TrendsByEnum` from two modules that its index exports again (TS2308).
# Neither says so, and neither client compiles. With another id of the operation, `read_trends`, both compile.
#
# Found with the description of `graphengine serve`, which had the operation `trends`.
#
# Seen with Node.js 20.20, Java 17, typescript 5.9.3. Needs node, npm and java. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"type": "module", "private": true}' >package.json
npm install --silent --no-audit --no-fund orval@8.38.0 typescript@5.9.3 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openapi-generator-cli==7.26.0 2>/dev/null
tried() { # the id of the operation
  cat >spec.json <<JSON
{"openapi": "3.1.0", "info": {"title": "tried", "version": "1"}, "paths": {"/trends": {"get": {"operationId": "$1",
  "parameters": [{"name": "by", "in": "query", "schema": {"type": "string", "enum": ["graph", "tag"]}}],
  "responses": {"200": {"description": "found", "content": {"application/json": {"schema": {"\$ref":
    "#/components/schemas/Trends"}}}}}}}}, "components": {"schemas": {"Trends": {"type": "object", "required": ["by"],
  "properties": {"by": {"type": "string", "enum": ["graph", "tag"]}}}}}}
JSON
  rm -rf orval fetch
  npx orval --input spec.json --output orval/api.ts --client fetch >/dev/null 2>&1
  venv/bin/openapi-generator-cli generate -i spec.json -g typescript-fetch -o fetch >/dev/null 2>&1
  for each in orval/api.ts fetch/index.ts; do
    npx tsc --noEmit --strict --target es2022 --module esnext --moduleResolution bundler --lib es2023,dom,dom.iterable \
      --skipLibCheck "$each" >errors && printf 'compiles ' || printf '%s ' "$(grep -o 'TS[0-9]*' errors | sort -u | tr '\n' ' ' | sed 's/ $//')"
  done
}
same=$(tried trends)
other=$(tried read_trends)
echo "orval and typescript-fetch of the operation trends: $same; of read_trends: $other"
[ "$same$other" = "TS2451 TS2308 compiles compiles " ] || { echo "changed" >&2; exit 1; }
