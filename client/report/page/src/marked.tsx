import { partsApart } from "./difference";
import { places } from "./fold";
import { query } from "./state";

/** A text, with what was searched for marked in it, sentences that are doubtful underlined, and words `apart` set off. */
export function Marked({ text, doubts = [], apart: words }: { text: string; doubts?: string[]; apart?: Set<string> | undefined }) {
  if (words?.size) {
    return (
      <>
        {partsApart(text, words).map((part, number) => (number % 2 ? <span class="apart"><Found text={part} /></span> : <Marked text={part} doubts={doubts} />))}
      </>
    );
  }
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
