// Texts as they are compared: case, accents and vowel signs of Arabic apart.

// Not all combining marks: those of Hindi, Thai and Japanese are letters of their words.
const MARKS = /[\u0300-\u036f\u064b-\u065f\u0670\u0640]/g;
const ASCII = /^[\x00-\x7f]*$/;

export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").replace(MARKS, "").toLowerCase().normalize("NFC");
}

/** Where a folded needle stands in a text: pairs of start and end in the text itself. */
export function places(text: string, needles: string[]): [number, number][] {
  if (!needles.length) return [];
  // Characters are folded one by one, each with where it came from.
  let folded = "";
  const origin: number[] = [];
  for (let at = 0; at < text.length; ) {
    let end = at + (text.codePointAt(at)! > 0xffff ? 2 : 1);
    while (end < text.length && /[\u0300-\u036f\u064b-\u065f\u0670]/.test(text[end]!)) end++;
    const part = fold(text.slice(at, end));
    for (let each = 0; each < part.length; each++) origin.push(at);
    folded += part;
    at = end;
  }
  origin.push(text.length);
  const found: [number, number][] = [];
  for (const needle of needles) {
    if (!needle) continue;
    for (let at = folded.indexOf(needle); at >= 0; at = folded.indexOf(needle, at + needle.length)) {
      found.push([origin[at]!, origin[at + needle.length]!]);
    }
  }
  found.sort((one, other) => one[0] - other[0]);
  const apart: [number, number][] = [];
  for (const [start, end] of found) {
    const last = apart.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else if (end > start) apart.push([start, end]);
  }
  return apart;
}
