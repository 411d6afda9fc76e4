#!/bin/sh
# openapi-typescript makes a field with a default required, also in the body of a request, where it can be left out.
#
# In JSON Schema `default` says what a field has that is left out, and `required` which fields may not be. openapi-typescript
# 7.13.0 writes `limit: number` for a property with a default that is not required, so that `{}`, a valid body, does not
# compile (TS2741). Its option --default-non-nullable=false writes `limit?: number`.
#
# Found with the description of `graphengine serve`: the input of a graph is a body whose fields have defaults.
#
# Seen with Node.js 20.20 and typescript 5.9.3. Needs node and npm. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"type": "module", "private": true}' >package.json
npm install --silent --no-audit --no-fund openapi-typescript@7.13.0 typescript@5.9.3 >/dev/null
cat >spec.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "tried", "version": "1"}, "paths": {"/runs": {"post": {"operationId": "start",
  "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Input"}}}},
  "responses": {"200": {"description": "begun"}}}}}, "components": {"schemas": {"Input": {"type": "object",
  "properties": {"limit": {"type": "integer", "default": 3}}}}}}
JSON
cat >use.ts <<'TS'
import type { components } from "./schema";
export const body: components["schemas"]["Input"] = {};
TS
tried() {
  npx openapi-typescript spec.json "$@" -o schema.d.ts >/dev/null 2>&1
  npx tsc --noEmit --strict --module esnext --moduleResolution bundler use.ts >errors && printf 'compiles' ||
    grep -o 'TS[0-9]*' errors | sort -u | tr -d '\n'
}
plain=$(tried)
asked=$(tried --default-non-nullable=false)
echo "the body {}: $plain; with --default-non-nullable=false: $asked"
[ "$plain $asked" = "TS2741 compiles" ] || { echo "changed" >&2; exit 1; }
