import { places } from "./fold";
import { query } from "./state";

/** A text, with what was searched for marked in it. */
export function Marked({ text }: { text: string }) {
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
