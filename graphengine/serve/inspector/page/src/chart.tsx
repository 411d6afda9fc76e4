// The server's chart of a run's numbers, on which steps can be selected.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { get } from "./api";
import { type Problem, elementOf } from "./parts";

/** The distance of a point from an element, in pixels. */
function away(element: Element, { clientX, clientY }: MouseEvent): number {
  const box = element.getBoundingClientRect();
  const across = Math.max(box.left - clientX, clientX - box.right, 0);
  return Math.hypot(across, Math.max(box.top - clientY, clientY - box.bottom, 0));
}

const seqOf = (part: Element): number => Number((part as SVGElement).dataset.seq);

/**
 * Numbers of the state over time, with the thresholds that conditions compare them with; a click selects a step.
 *
 * @param only - the path of the one number that is shown.
 */
export function Scores({
  id,
  steps,
  selected,
  select,
  only,
}: {
  id: string;
  steps: number;
  selected: number;
  select: (seq: number) => void;
  only?: string | undefined;
}) {
  const [path, setPath] = useState("");
  const [wanted, setWanted] = useState("");
  const [found, setFound] = useState<{ svg?: string; words?: string; error?: Problem }>({});
  const [width, setWidth] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const asked = useRef(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width / 20) * 20));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!width) return undefined;
    const timer = setTimeout(
      () => {
        asked.current = Date.now();
        const drawn = get("scores", { run_id: id, path: only || wanted, column: width });
        drawn.then(setFound, (error) => setFound({ error }));
      },
      Math.max(0, asked.current + 1500 - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [id, wanted, steps, width]);
  const svg = useMemo(() => (found.svg ? elementOf(found.svg) : null), [found]);
  useEffect(() => box.current?.replaceChildren(...(svg ? [svg] : [])), [svg]);
  const parts = useMemo(() => [...(svg?.querySelectorAll("[data-seq]") || [])], [svg]);
  useEffect(() => {
    const last = Math.max(...parts.map(seqOf).filter((seq) => seq <= selected));
    for (const each of parts) each.classList.toggle("here", seqOf(each) === last);
  }, [parts, selected]);
  const near = (event: MouseEvent) => {
    if (parts.length)
      select(seqOf(parts.reduce((best, each) => (away(each, event) < away(best, event) ? each : best))));
  };
  if (only && found.error) return null;
  return (
    <>
      {!only && (
        <form
          class="acts"
          onSubmit={(event) => {
            event.preventDefault();
            setWanted(path.trim());
          }}
        >
          <input
            class="btn grow"
            aria-label="Path of a number"
            placeholder="path of a number, as history[-1].score"
            value={path}
            onInput={(event) => setPath(event.currentTarget.value)}
          />
          <button class="btn">Draw</button>
        </form>
      )}
      {found.error && (
        <p class="soft">
          {found.error.message}
          <br />
          {found.error.repair}
        </p>
      )}
      <div
        class="chart scrolls"
        tabIndex={0}
        role="group"
        aria-label="scores"
        aria-busy={!svg && !found.error}
        hidden={Boolean(only) && parts.length === 1}
        ref={box}
        onClick={near}
      />
      {!only && found.words && (
        <details>
          <summary>scores in words</summary>
          <pre tabIndex={0}>{found.words}</pre>
        </details>
      )}
    </>
  );
}
