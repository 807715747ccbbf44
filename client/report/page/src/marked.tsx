import { places } from "./fold";
import { query } from "./state";

/** A text, with what was searched for marked in it, and sentences that are doubtful underlined. */
export function Marked({ text, doubts = [] }: { text: string; doubts?: string[] }) {
  const found = doubts.map((doubt): [number, number] => [text.indexOf(doubt), text.indexOf(doubt) + doubt.length]);
  const apart = found.filter(([start]) => start >= 0).sort((one, other) => one[0] - other[0]);
  const parts = [];
  let at = 0;
  for (const [start, end] of apart) {
    if (start < at) continue;
    parts.push(
      <Found text={text.slice(at, start)} />,
      <span class="doubtful-sentence" title="This sentence is doubtful">
        <Found text={text.slice(start, end)} />
      </span>,
    );
    at = end;
  }
  return <>{[...parts, <Found text={text.slice(at)} />]}</>;
}

function Found({ text }: { text: string }) {
  const found = places(text, query.value.found.needles);
  if (!found.length) return <>{text}</>;
  const parts = [];
  let at = 0;
  for (const [start, end] of found) {
    parts.push(text.slice(at, start), <mark>{text.slice(start, end)}</mark>);
    at = end;
  }
  return <>{[...parts, text.slice(at)]}</>;
}
