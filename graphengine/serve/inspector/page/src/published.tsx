// What a run shows of itself: the newest value of each name that its nodes published, and messages that they refused.

import { Value } from "./text";
import type { PublishedPart, RefusedMessage } from "./types";
import { ago } from "./words";

const MOST = 8;

/** The newest values, each with the step that has it. */
export function PublishedValues({ values, select }: { values: PublishedPart[]; select: (seq: number) => void }) {
  if (!values.length) return null;
  return (
    <section>
      <h3>Published</h3>
      <ul class="events">
        {values.slice(0, MOST).map((each) => (
          <li key={`${each.item} ${each.name}`}>
            <button class="link plain" onClick={() => select(each.seq)}>
              <b>{each.name}</b> {each.item && <span class="soft">{each.item}</span>}
            </button>
            {each.value !== undefined && <Value value={each.value} fold={200} />}
            {each.value === undefined && <span class="soft">a long value</span>}
            <span class="soft">{ago(each.at)}</span>
          </li>
        ))}
        {values.length > MOST && <li class="soft">and {values.length - MOST} more</li>}
      </ul>
    </section>
  );
}

/** The messages that nodes refused, the newest first, each with the reason and the step that says so. */
export function RefusedMessages({ refused, select }: { refused: RefusedMessage[]; select: (seq: number) => void }) {
  if (!refused.length) return null;
  return (
    <section>
      <h3>Refused messages</h3>
      <ul class="events">
        {[...refused].reverse().map((each) => (
          <li key={each.seq}>
            <button class="link plain" onClick={() => select(each.seq)}>
              <b>{each.topic}</b> <span class="soft">{each.path}</span>
            </button>
            <span>{each.reason}</span>
            {each.payload !== null && <Value value={each.payload} fold={200} />}
            <span class="soft">{ago(each.at)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
