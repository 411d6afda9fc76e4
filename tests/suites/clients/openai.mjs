// The official client of OpenAI's API and the AI SDK, as they come: node openai.mjs (older | newest) URL.
const older = process.argv[2] === "older";
const { createOpenAI } = await import(older ? "ai-sdk-openai-3" : "@ai-sdk/openai");
const { generateText, streamText } = await import(older ? "ai-6" : "ai");
const { default: OpenAI } = await import(older ? "openai-6" : "openai");

const url = process.argv[3];
const apiKey = process.env.GRAPHENGINE_TOKEN;
const say = (name, holds, found) => console.log(`${holds ? "PASS" : "FAIL"} ${name}${holds ? "" : `: ${String(found).slice(0, 300)}`}`);
const runs = async () => (await (await fetch(`${url.replace("/v1", "")}/runs?graph=broken&limit=500`, { headers: { Authorization: `Bearer ${apiKey}` } })).json()).runs.length;
const made = async (work) => {
  const before = await runs();
  let error = null;
  try {
    await work();
  } catch (caught) {
    error = caught;
  }
  return [(await runs()) - before, error];
};

const client = new OpenAI({ baseURL: url, apiKey, maxRetries: 3 });
const messages = [{ role: "user", content: "Hi" }];
say("openai: models", (await client.models.retrieve("echo")).id === "echo", "");
const chat = await client.chat.completions.create({ model: "helper-chat", messages });
say("openai: a chat completion", chat.choices[0].message.content === "You said: Hi", JSON.stringify(chat));
let text = "";
for await (const chunk of await client.chat.completions.create({ model: "echo", messages, stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
say("openai: a stream", text === "You said: Hi", text);
const first = await client.responses.create({ model: "helper-chat", input: "One", metadata: { ticket: "7" }, instructions: "Be kind." });
const second = await client.responses.create({ model: "helper-chat", input: "Two", previous_response_id: first.id });
say("openai: responses continue", second.output_text === "You said: Two", JSON.stringify(second));
say("openai: metadata and instructions come back", first.metadata.ticket === "7" && first.instructions === "Be kind.", JSON.stringify(first));
let [count, error] = await made(() => client.chat.completions.create({ model: "broken", messages }));
say("openai: a failed run is made once", count === 1 && error?.status === 422, `${count} ${error}`);
[count, error] = await made(() => client.chat.completions.create({ model: "echo", messages, response_format: { type: "json_object" } }));
say("openai: what cannot be promised is refused", error?.status === 400, error);

const provider = createOpenAI({ baseURL: url, apiKey });
for (const [name, make] of [["chat", (model) => provider.chat(model)], ["responses", (model) => provider.responses(model)]]) {
  const done = await generateText({ model: make("helper-chat"), prompt: "Hi" });
  say(`AI SDK, ${name}: a text`, done.text === "You said: Hi", done.text);
  let streamed = "";
  for await (const piece of streamText({ model: make("echo"), prompt: "Hi" }).textStream) streamed += piece;
  say(`AI SDK, ${name}: a stream`, streamed === "You said: Hi", streamed);
  [count, error] = await made(() => generateText({ model: make("broken"), prompt: "Hi" }));
  say(`AI SDK, ${name}: a failed run is made once`, count === 1, `${count} ${error}`);
}
process.exit(0);
