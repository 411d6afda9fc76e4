// What a page does to a run: send, stop, tag; with --drive resume, else the commands for that.

import { useState } from "preact/hooks";

import { addressOf } from "./api";
import { readJson } from "./json";
import { Chip, Command, Copy, canDrive, useAct } from "./parts";
import type { Head, Session } from "./types";

const NOTE = /^@(\d+) (.+)$/s;
const LONGEST = 100;

export const isNote = (tag: string): boolean => NOTE.test(tag);

export interface Note {
  tag: string;
  seq: number;
  text: string;
}

/**
 * The notes among the tags of a run. A note is a tag that begins with its step, as in `@12 looks wrong`: so the command
 * line lists and searches it too, an export has it, and nothing else needs to be stored.
 */
export function notesOf(tags: string[]): Note[] {
  const found = tags.map((tag) => [tag, NOTE.exec(tag)] as const).filter(([, match]) => match);
  const notes = found.map(([tag, match]) => ({ tag, seq: Number(match![1]), text: match![2]! }));
  return notes.sort((one, other) => one.seq - other.seq);
}

export function Notes({ id, seq, tags, session }: { id: string; seq: number; tags: string[]; session: Session }) {
  const [text, setText] = useState("");
  const [act, busy, said] = useAct();
  const notes = notesOf(tags).filter((note) => note.seq === seq);
  const note = async (event: Event) => {
    event.preventDefault();
    const add = [`@${seq} ${text.trim()}`];
    if (text.trim() && (await act("runs/{run_id}/tags", { run_id: id, add }, ""))) setText("");
  };
  return (
    <section class="notes" aria-label="Notes">
      {notes.map((note) => (
        <p class="note" key={note.tag}>
          ✎ {note.text}{" "}
          {!session.read_only && (
            <button
              class="btn bare small"
              aria-label={`remove the note ${note.text}`}
              onClick={() => act("runs/{run_id}/tags", { run_id: id, remove: [note.tag] }, "")}
            >
              ×
            </button>
          )}
        </p>
      ))}
      {!session.read_only && (
        <form onSubmit={note}>
          <input
            class="btn"
            aria-label="Note on this step"
            placeholder="note on this step"
            maxLength={LONGEST - 2 - String(seq).length}
            disabled={busy}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </form>
      )}
      {said}
    </section>
  );
}

/** Buttons that resume or retry a run, and that stop it. */
export function Standings({ head, session }: { head: Head; session: Session }) {
  const [act, busy, said] = useAct();
  const [sure, setSure] = useState(false);
  const id = head.run_id;
  if (session.read_only) return null;
  const stop = (now: boolean, final = false) => {
    setSure(false);
    act("runs/{run_id}/stop", { run_id: id, now, final }, final ? "asked to cancel" : "asked to stop");
  };
  const drives = canDrive(session, head.graph);
  const isOver = ["failed", "stopped", "interrupted", "waiting"].includes(head.shown);
  const stops = ["queued", "running", "waiting"].includes(head.shown);
  const resumed = head.shown === "waiting" ? "it still waits" : "";
  return (
    <span class="standings">
      {drives && isOver && (
        <button class="btn small" disabled={busy} onClick={() => act("runs/{run_id}/resume", { run_id: id }, resumed)}>
          {head.shown === "failed" ? "Retry" : "Resume"}
        </button>
      )}
      {!["finished", "cancelled"].includes(head.shown) &&
        (sure ? (
          <>
            {head.shown === "running" && (
              <button class="btn small danger" disabled={busy} onClick={() => stop(false)}>
                Stop after the nodes in flight
              </button>
            )}
            {stops && (
              <button
                class="btn small danger"
                disabled={busy}
                onClick={() => stop(true)}
                title="cancels the nodes in flight; a resume repeats them"
              >
                Stop it now
              </button>
            )}
            <button
              class="btn small danger"
              disabled={busy}
              onClick={() => stop(true, true)}
              title="ends it, and the runs below it, as cancelled: no resume and no answer continues it"
            >
              Cancel for good
            </button>
            <button class="btn small" onClick={() => setSure(false)}>
              no
            </button>
          </>
        ) : (
          <button class="btn small" onClick={() => setSure(true)}>
            {stops ? "Stop" : "Cancel"}
          </button>
        ))}
      {said}
    </span>
  );
}

/** Why there is no button that drives a run; nothing without --drive, where the commands are shown. */
export function CannotDrive({ session, graph }: { session: Session; graph: string }) {
  if (!session.drives || canDrive(session, graph)) return null;
  return (
    <p class="soft">
      This inspector drives runs of {session.drives.graphs.join(", ")}. For {graph}, give its file:{" "}
      <code>graphengine inspect --drive --graph FILE</code>
    </p>
  );
}

/** Tags, messages, the export and the commands of a run. */
export function Acts({
  head,
  at,
  session,
  commands,
}: {
  head: Head;
  at: number;
  session: Session;
  commands: Record<string, string>;
}) {
  const [act, busy, said] = useAct();
  const [tag, setTag] = useState("");
  const [topic, setTopic] = useState("");
  const [payload, setPayload] = useState("");
  const id = head.run_id;
  const file = id.replace(/[^\w.-]+/g, "_");
  const label = async (event: Event) => {
    event.preventDefault();
    if (tag.trim() && (await act("runs/{run_id}/tags", { run_id: id, add: [tag.trim()] }, "tagged"))) setTag("");
  };
  const send = (event: Event) => {
    event.preventDefault();
    let value: unknown = payload;
    try {
      value = readJson(payload);
    } catch {
      // as text
    }
    const message = { run_id: id, topic, payload: value };
    act("runs/{run_id}/messages", message, "the message is sent", crypto.randomUUID());
  };
  return (
    <section class="more" aria-label="Actions">
      <h3>
        Tags and more{" "}
        <span class="end">
          <Copy text={id}>copy the id</Copy>
        </span>
      </h3>
      <div class="acts">
        {head.tags
          .filter((each) => !isNote(each))
          .map((each) => (
            <Chip key={each}>
              {each}
              {!session.read_only && (
                <button
                  class="btn bare small"
                  aria-label={`remove the tag ${each}`}
                  onClick={() => act("runs/{run_id}/tags", { run_id: id, remove: [each] }, "")}
                >
                  ×
                </button>
              )}
            </Chip>
          ))}
        {!session.read_only && (
          <form onSubmit={label}>
            <input
              class="btn small"
              aria-label="New tag"
              placeholder="new tag"
              size={12}
              maxLength={100}
              value={tag}
              onInput={(event) => setTag(event.currentTarget.value)}
            />
          </form>
        )}
        <a class="btn small" href={addressOf("export", { run_id: id })} download={`${file}.json`}>
          Export the run as a file
        </a>
        <a class="btn small" href={addressOf("runs/{run_id}/story", { run_id: id })} download={`${file}.html`}>
          Story to send
        </a>
      </div>
      {!session.read_only && head.shown !== "finished" && (
        <details>
          <summary>Send a message</summary>
          <form class="form" onSubmit={send}>
            <label>
              topic{" "}
              <input class="btn" required value={topic} onInput={(event) => setTopic(event.currentTarget.value)} />
            </label>
            <label>
              payload, JSON or text{" "}
              <textarea rows={3} value={payload} onInput={(event) => setPayload(event.currentTarget.value)} />
            </label>
            <button class="btn" disabled={busy}>
              Send
            </button>
          </form>
        </details>
      )}
      {said}
      <CannotDrive session={session} graph={head.graph} />
      <details>
        <summary>Commands</summary>
        {["failed", "stopped", "interrupted", "waiting"].includes(head.shown) && commands.resume && (
          <Command words="resume it" text={commands.resume} />
        )}
        {commands.branch && (
          <Command
            words="branch at a step; --set FIELD=VALUE changes the state"
            text={commands.branch.replace(/--at \d+/, `--at ${at}`)}
          />
        )}
      </details>
    </section>
  );
}
