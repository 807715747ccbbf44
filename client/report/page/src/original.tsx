// What a translation was made of, and which of its sentences are doubtful.
import { language } from "./preferences";
import { details, ENGLISH, languageOf } from "./store";
import { clock, labelOf, shownAnswers, type Shown } from "./texts";

/** Beside a translation, the words that were translated; at once where the translation is doubtful. */
export function Original({ index, shown }: { index: number; shown: Shown }) {
  const code = language.value;
  if (code === ENGLISH || shown.missing === "all") return null;
  const original = shownAnswers(index, ENGLISH).find((each) => each.key === shown.key);
  // What was translated are the model's words, whatever they were changed to since.
  const text = original?.text == null ? undefined : (original.was?.[0] ?? original.text);
  const lines = text?.split(/\n\s*\n/) ?? (original?.items ? [(original.was ?? original.items).join(", ")] : []);
  const moments = original?.segments ?? [];
  if (!lines.length && !moments.length) return null;
  const own = languageOf(ENGLISH);
  return (
    <details class="original" open={(shown.answer.translation_verdicts?.[code]?.["doubtful"] ?? 0) > 0}>
      <summary>The original, in English</summary>
      <div lang={own?.tag} dir={own?.direction}>
        {lines.map((line) => (
          <p class="text">{line}</p>
        ))}
        {moments.map((moment) => (
          <p class="text">
            {clock(moment.start)} {labelOf(moment)}
          </p>
        ))}
      </div>
    </details>
  );
}

/** The sentences of a file in the language that is shown that its warnings quote: “sentence”: why it is doubtful. */
export function doubtfulSentences(index: number, key: string): string[] {
  const start = `: ${language.value}: doubtful translation: “`;
  return (details[index]?.record.warnings ?? []).flatMap((warning) => {
    const at = warning.indexOf(start);
    if (at < 0 || !(warning.startsWith(`${key}:`) || warning.startsWith(`${key}, `))) return [];
    const rest = warning.slice(at + start.length);
    const end = rest.lastIndexOf("”: ");
    return end > 0 ? [rest.slice(0, end)] : [];
  });
}
