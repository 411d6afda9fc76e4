"""Clients that generators make of the description of a service: they compile, and read what the service answers.

Run it as `python -m tests.suites.clients.generated NODE NODE_MODULES PYTHON ADDRESS`. PYTHON is that of the environment
with openapi-generator and Go. Each generator is called as docs/use/serve.md says. Each client starts a run
of the graph `echo`, waits for it, and prints its result, and when it was created, which must be exact.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

TOKEN = os.environ.get("GRAPHENGINE_TOKEN", "")
AUTH = f'"Bearer {TOKEN}"'
SHOWN = "console.log(run.run_id + ' ' + run.output + ' ' + run.created_at)"


class Generator(NamedTuple):
    """A generator of clients: its command, and a program that uses the client."""

    command: Sequence[str]
    program: str
    needs: Sequence[str] = ()


GENERATORS: Mapping[str, Generator] = {
    "openapi-typescript": Generator(
        ["openapi-typescript", "spec.json", "--default-non-nullable=false", "-o", "schema.d.ts"],
        """
        import type { paths } from "./schema";
        type Start = paths["/graphs/echo/runs"]["post"];
        type Read = paths["/runs/{run_id}"]["get"]["responses"]["200"]["content"]["application/json"];
        const headers = { Authorization: AUTH, "Content-Type": "application/json" };
        async function main() {
          const body: NonNullable<Start["requestBody"]>["content"]["application/json"] = { text: "hi" };
          const sent = { method: "POST", headers, body: JSON.stringify(body) };
          const begun = await fetch("ADDRESS/graphs/echo/runs", sent);
          const { run_id } = (await begun.json()) as Read;
          const run = (await (await fetch(`ADDRESS/runs/${run_id}?wait=30`, { headers })).json()) as Read;
          SHOWN;
        }
        main();
        """,
    ),
    "orval": Generator(
        ["orval", "--config", "orval.config.mjs"],
        """
        import { startEcho, getRun } from "./orval/api";
        const headers = { Authorization: AUTH, "Content-Type": "application/json" };
        async function main() {
          const begun = await startEcho({ text: "hi" }, {}, { headers });
          if (!("run_id" in begun.data)) throw new Error(JSON.stringify(begun.data));
          const answer = await getRun(begun.data.run_id, { wait: 30 }, { headers });
          if (answer.status !== 200) throw new Error(JSON.stringify(answer.data));
          const run = answer.data;
          SHOWN;
        }
        main();
        """,
    ),
    "hey-api": Generator(
        ["openapi-ts", "-i", "spec.json", "-o", "hey"],
        """
        import { startEcho, getRun } from "./hey/sdk.gen";
        import { client } from "./hey/client.gen";
        client.setConfig({ baseUrl: "ADDRESS", headers: { Authorization: AUTH } });
        async function main() {
          const begun = await startEcho({ body: { text: "hi" }, throwOnError: true });
          const { run_id } = begun.data;
          const { data: run } = await getRun({ path: { run_id }, query: { wait: 30 }, throwOnError: true });
          SHOWN;
        }
        main();
        """,
    ),
    "openapi-generator typescript-fetch": Generator(
        ["openapi-generator-cli", "generate", "-i", "spec.json", "-g", "typescript-fetch", "-o", "fetch"],
        """
        import { Configuration, DefaultApi } from "./fetch";
        const api = new DefaultApi(new Configuration({ basePath: "ADDRESS", headers: { Authorization: AUTH } }));
        async function main() {
          const begun = await api.startEcho({ inputText: { text: "hi" } });
          const run = await api.getRun({ runId: begun.runId, wait: 30 });
          console.log(run.runId + " " + run.output + " " + run.createdAt);
        }
        main();
        """,
        ("java",),
    ),
    "openapi-generator go": Generator(
        ["openapi-generator-cli", "generate", "-i", "spec.json", "-g", "go", "-o", "go"],
        """
        package main

        import (
            "context"
            "fmt"
            "strconv"

            client "github.com/GIT_USER_ID/GIT_REPO_ID"
        )

        func main() {
            config := client.NewConfiguration()
            config.Servers = client.ServerConfigurations{{URL: "ADDRESS"}}
            config.AddDefaultHeader("Authorization", AUTH)
            api, ctx := client.NewAPIClient(config).DefaultAPI, context.Background()
            begun, _, err := api.StartEcho(ctx).InputText(*client.NewInputText("hi")).Execute()
            if err != nil {
                panic(err)
            }
            run, _, err := api.GetRun(ctx, begun.RunId).Wait(30).Execute()
            if err != nil {
                panic(err)
            }
            fmt.Println(run.RunId, run.Output, strconv.FormatFloat(run.CreatedAt, 'f', -1, 64))
        }
        """,
        ("java", "go"),
    ),
}


def main(node: str, modules: str, python: str, address: str) -> int:
    """Generate, compile and use each client; return the exit code."""
    paths = [str(Path(python).parent), str(Path(node).parent), str(Path(modules, ".bin")), os.environ["PATH"]]
    env = {**os.environ, "PATH": os.pathsep.join(paths), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    for name, generator in GENERATORS.items():
        lacks = [each for each in (generator.command[0], *generator.needs) if not shutil.which(each, path=env["PATH"])]
        if lacks:
            print(f"NOT RUN: the client of {name}, since there is no {' and no '.join(lacks)} here")
            continue
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            of_go = {"GOPATH": f"{folder}/path", "GOCACHE": f"{folder}/cache", "GOMODCACHE": f"{folder}/modules"}
            wrong = tried(generator, Path(folder), modules, address, {**env, **of_go})
        print(f"FAIL {name}: {wrong}" if wrong else f"PASS {name}", flush=True)
    return 0


def tried(generator: Generator, folder: Path, modules: str, address: str, env: Mapping[str, str]) -> str:
    """Return what is wrong with the client of a generator; "" for nothing."""
    (folder / "node_modules").symlink_to(modules)
    (folder / "spec.json").write_bytes(asked(f"{address}/openapi.json"))
    output = {"target": "./orval/api.ts", "client": "fetch", "baseUrl": address}
    (folder / "orval.config.mjs").write_text(
        f"export default {json.dumps({'service': {'input': './spec.json', 'output': output}})}"
    )
    is_go = "go" in generator.needs
    program = folder / ("go/used/main.go" if is_go else "main.ts")
    steps: list[list[str]] = [["go", "run", "./used"]]
    if not is_go:
        words = "--strict --target es2022 --module commonjs --moduleResolution node10 --lib es2023,dom,dom.iterable"
        steps = [["tsc", *words.split(), "--skipLibCheck", "--outDir", "built", "main.ts"], ["node", "built/main.js"]]
    text = ""
    for step in [[*generator.command], *steps]:
        if step == steps[0]:
            shutil.rmtree(folder / "go" / "test", ignore_errors=True)  # which needs more modules
            program.parent.mkdir(exist_ok=True)
            shown = generator.program.replace("ADDRESS", address).replace("SHOWN", SHOWN).replace("AUTH", AUTH)
            program.write_text(shown)
        place = folder / "go" if is_go and step in steps else folder
        done = subprocess.run(step, cwd=place, env=env, capture_output=True, text=True, check=False)
        text = done.stdout
        if done.returncode:
            return f"{step[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
    run_id, _, said = text.strip().partition(" ")
    output_text, _, created = said.rpartition(" ")
    found = json.loads(asked(f"{address}/runs/{run_id}"))
    is_exact = float(created) == found["created_at"]
    return "" if (output_text, is_exact) == ("You said: hi", True) else f"it read {text!r} of {found}"


def asked(address: str) -> bytes:
    """Return what the service answers."""
    request = Request(address, headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
