// A client of the official TypeScript SDK, 1.x or 2.x: node mcp.mjs VERSION URL. Prints a line for each thing that holds.
const [version, url] = process.argv.slice(2);
const load = async () => {
  if (version === "2") return await import("@modelcontextprotocol/client");
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
  return { Client, StreamableHTTPClientTransport, ElicitRequestSchema };
};
const sdk = await load();
const headers = { Authorization: `Bearer ${process.env.GRAPHENGINE_TOKEN}` };
const say = (name, holds, found) => console.log(`${holds ? "PASS" : "FAIL"} ${name}${holds ? "" : `: ${JSON.stringify(found).slice(0, 300)}`}`);

const connected = async (answer) => {
  const client = new sdk.Client({ name: "suite", version: "1" }, { capabilities: answer ? { elicitation: {} } : {} });
  if (answer) client.setRequestHandler(sdk.ElicitRequestSchema ?? "elicitation/create", async () => answer);
  await client.connect(new sdk.StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  await client.listTools(); // from here on it checks results against their schemas
  return client;
};
const called = async (client, name, args, id) => {
  try {
    return await client.callTool({ name, arguments: args, ...(id ? { _meta: { "graphengine/run_id": id } } : {}) });
  } catch (error) {
    return { thrown: String(error) };
  }
};
const textOf = (result) => result.content?.[0]?.text ?? "";

const plain = await connected(null);
let found = await called(plain, "echo", { text: "hi" });
say("a result fits its schema", found.structuredContent?.result === "You said: hi", found);
found = await called(plain, "broken", { text: "x" });
say("a failed run is an error with its cause", found.isError && textOf(found).includes("cannot say x"), found);
found = await called(plain, "echo", { nope: 1 });
say("a bad argument is an error with its repair", found.isError && textOf(found).includes("nope"), found);
found = await called(plain, "posts", { title: "T" }, "suite-posts");
const id = found._meta?.["graphengine/run_id"];
say("an open question is an error with the run's id", found.isError && id === "suite-posts" && textOf(found).startsWith("question_open"), found);
const run = `${url.replace("/mcp", "")}/runs/${id}`;
const [wait] = (await (await fetch(run, { headers })).json()).waits;
await fetch(`${run}/answer`, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify({ id: wait.id, value: true }) });
found = await called(plain, "posts", { title: "T" }, id);
say("the same call goes on once it was answered", found.structuredContent?.result === true, found);
await plain.close();

const able = await connected({ action: "accept", content: { answer: true } });
found = await called(able, "posts", { title: "U" });
say("a question is a form", found.structuredContent?.result === true, found);
await able.close();
const unwilling = await connected({ action: "decline" });
found = await called(unwilling, "posts", { title: "V" });
say("a declined question is an error", found.isError && textOf(found).includes("declined"), found);
await unwilling.close();
process.exit(0);
