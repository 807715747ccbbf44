// What of a file's texts a card shows, and where a search leads to.
import { places } from "./fold";
import { language } from "./preferences";
import { query } from "./state";
import { core, ENGLISH, languages } from "./store";
import { around, labelOf, leadOf, plainText, shownAnswers, type Shown, type ShownSegment } from "./texts";

const LONGEST_LEAD = 300;
/** So short that what was found is in the first lines. */
const FOUND_LENGTH = 100;

export interface Lead {
  text: string;
  code: string;
  /** Of the moment that the text is about. */
  time: number | null;
}

/** The first text; where something was searched for, what stands around it, in whatever language it was found. */
export function leadText(index: number): Lead {
  const { needles } = query.value.found;
  const answers = shownAnswers(index, language.value);
  const lead = leadOf(answers);
  if (needles.length) {
    for (const code of codes()) {
      for (const each of code === language.value ? answers : shownAnswers(index, code)) {
        const moment = each.text === null && each.items === null ? momentIn(each, needles) : undefined;
        if (moment) return { text: labelOf(moment), code: moment.inEnglish ? ENGLISH : code, time: moment.start };
        const found = around(plainText(each), needles, FOUND_LENGTH);
        if (found !== null) return { text: found, code: each.inEnglish ? ENGLISH : code, time: null };
      }
    }
  }
  return { text: plainText(lead).slice(0, LONGEST_LEAD), code: lead?.inEnglish ? ENGLISH : language.value, time: null };
}

/** The first moment that says what was searched for; null where none does. */
export function hitTime(index: number): number | null {
  const { needles } = query.value.found;
  if (!needles.length || !core.value!.items.duration[index]) return null;
  for (const code of codes()) {
    const starts = shownAnswers(index, code).flatMap((each) => momentIn(each, needles)?.start ?? []);
    if (starts.length) return Math.min(...starts);
  }
  return null;
}

const codes = (): string[] => [...new Set([language.value, ...languages.value.map((each) => each.code)])];

const momentIn = ({ segments }: Shown, needles: string[]): ShownSegment | undefined =>
  segments.find((segment) => places(labelOf(segment), needles).length);
