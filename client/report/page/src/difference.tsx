// What differs between answers to the same about two files.
import { fold } from "./fold";
import { plainText, type Shown } from "./texts";

const WORD = /[\p{L}\p{M}\p{N}]+/gu;
const wordsOf = (text: string): string[] => fold(text).match(WORD) ?? [];

/** The words, folded, that the first text has and the other one has not; scripts without spaces are not taken apart. */
export function wordsApart(text: string, other: string): Set<string> {
  const there = new Set(wordsOf(other));
  return new Set(wordsOf(text).filter((word) => !there.has(word)));
}

/** Parts of a text, by turns without and with what is apart. */
export function partsApart(text: string, apart: Set<string>): string[] {
  const parts: string[] = [];
  let at = 0;
  for (const found of text.matchAll(WORD)) {
    if (!apart.has(fold(found[0]))) continue;
    parts.push(text.slice(at, found.index), found[0]);
    at = found.index + found[0].length;
  }
  return [...parts, text.slice(at)];
}

/** Whether both say the same, in a word. */
export function Difference({ one, other }: { one: Shown; other: Shown | undefined }) {
  if (!other) return <span class="badge apart">only here</span>;
  const same = plainText(one) === plainText(other) && one.answer.label === other.answer.label;
  return <span class={`badge${same ? "" : " apart"}`}>{same ? "the same" : "differs"}</span>;
}
