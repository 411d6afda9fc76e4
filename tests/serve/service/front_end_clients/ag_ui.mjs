// A front end: it sends a thread, shows what happens, answers what it is asked if it has an answer, and prints the rest.
import { HttpAgent } from "@ag-ui/client";

const [url, token, threadId, state, answer] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const agent = new HttpAgent({ url, threadId, headers, initialState: JSON.parse(state) });
const found = { types: [], messages: [], interrupts: [] };
const subscriber = {
  onEvent: ({ event }) => void found.types.push(event.type),
  onRunFinishedEvent: (params) => void Object.assign(found, { outcome: params.outcome, asked: params.interrupts }),
};
await agent.runAgent({}, subscriber);
if (answer !== undefined && found.outcome === "interrupt") {
  const resume = found.asked.map((each) => ({
    interruptId: each.id, status: "resolved", payload: JSON.parse(answer),
  }));
  const { result } = await agent.runAgent({ resume }, subscriber);
  found.result = result;
}
console.log(JSON.stringify({ ...found, state: agent.state, messages: agent.messages }));
process.exit(0);
