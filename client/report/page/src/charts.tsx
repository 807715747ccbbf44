// What is in the files that the filter leaves, counted. Each bar is a way to filter further.
import { useMemo } from "preact/hooks";
import { reviewOf } from "./edits";
import { columnOf } from "./facts";
import { filterBy, quoted, shown } from "./state";
import { arrived, core, details, facts, languages } from "./store";
import { FLAGS } from "./types";

interface Bar {
  label: string;
  count: number;
  condition: string | null;
}

const MOST = 15;
const BINS = 20;
const TONES = ["positive", "mixed", "neutral", "negative"];

export function Charts() {
  const list = shown.value;
  const version = arrived.value;
  const made = useMemo(() => charts(list), [list, version]);
  return (
    <div class="charts">
      <h2 class="visually-hidden">Charts</h2>
      <Over list={list} />
      {made.map(({ title, bars, note }) => (
        <Bars title={title} bars={bars} note={note} of={list.length} />
      ))}
    </div>
  );
}

function Bars({ title, bars, note, of }: { title: string; bars: Bar[]; note: string | undefined; of: number }) {
  const most = Math.max(1, ...bars.map((bar) => bar.count));
  if (!bars.some((bar) => bar.count)) return null;
  return (
    <section class="chart" aria-label={title}>
      <h3>{title}</h3>
      {note && <p class="hint">{note}</p>}
      <ul>
        {bars.filter((bar) => bar.count).map(({ label, count, condition }) => (
          <li>
            <button type="button" disabled={condition === null} onClick={() => condition !== null && filterBy(condition)} title={condition === null ? undefined : `Show them: ${condition}`}>
              <span class="label">
                <bdi>{label}</bdi>
              </span>
              <span class="bar" aria-hidden="true">
                <span style={{ width: `${(100 * count) / most}%` }} />
              </span>
              <span class="number">
                {count.toLocaleString()}
                <span class="share"> {of ? Math.round((100 * count) / of) : 0} %</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function charts(list: number[]): { title: string; bars: Bar[]; note: string | undefined }[] {
  const { flags } = core.value!.items;
  const known = list.filter((index) => facts[index]);
  const counts = (values: (index: number) => Iterable<string>): [string, number][] => {
    const found = new Map<string, number>();
    for (const index of known) for (const value of values(index)) found.set(value, (found.get(value) ?? 0) + 1);
    return [...found].sort((one, other) => other[1] - one[1]);
  };
  const bars = (found: [string, number][], field: string): Bar[] =>
    found.slice(0, MOST).map(([label, count]) => ({ label, count, condition: `${field}:${quoted(label)}` }));
  const more = (found: [string, number][]): string | undefined =>
    found.length > MOST ? `the ${MOST} most frequent of ${found.length.toLocaleString()}` : undefined;
  const chart = (title: string, found: [string, number][], field: string) => ({ title, bars: bars(found, field), note: more(found) });
  const flagged = (label: string, bit: number, condition: string): Bar => ({
    label,
    count: list.filter((index) => flags[index]! & bit).length,
    condition,
  });
  const names = new Map(languages.value.map(({ code, name }) => [code, name]));
  const spoken = (codes: [string, number][], field: string): Bar[] =>
    codes.map(([code, count]) => ({ label: names.get(code) ?? code, count, condition: `${field}:${code}` }));
  return [
    chart("Tags", counts((index) => facts[index]!.tags), "tag"),
    chart("Sentiment", counts((index) => facts[index]!.sentiment), "sentiment"),
    chart("Brands", counts((index) => facts[index]!.brands), "brand"),
    { title: "Languages", bars: spoken(counts((index) => facts[index]!.languages), "lang"), note: undefined },
    { title: "Doubtful sentences", bars: spoken(counts((index) => facts[index]!.doubtful), "doubtful"), note: "files, by language" },
    chart("Verdicts", counts((index) => [facts[index]!.verdict].filter(Boolean)), "verdict"),
    {
      title: "Problems and review",
      bars: [
        flagged("failed", FLAGS.failed, "failed"),
        flagged("answer or translation doubtful", FLAGS.doubtful | FLAGS.translationDoubtful, "doubtful"),
        flagged("gone", FLAGS.gone, "gone"),
        ...(["accepted", "flagged"] as const).map((state) => ({
          label: `${state} by you`,
          count: list.filter((index) => reviewOf(index)?.state === state).length,
          condition: state,
        })),
      ],
      note: undefined,
    },
    chart("Failures", counts((index) => [kindOfError(details[index]!.record.error)].filter(Boolean)), "error"),
    chart("Kinds", counts((index) => [details[index]!.record.kind ?? ""].filter(Boolean)), "kind"),
    { title: "Seconds for a file", bars: histogram(known.map((index) => facts[index]!.seconds), "seconds"), note: undefined },
    { title: "Length of videos and sounds", bars: histogram(known.flatMap((index) => details[index]!.record.duration_sec ?? []), "duration"), note: undefined },
  ];
}

/** What errors have in common: without the task, numbers and names. */
const kindOfError = (error: string | null): string =>
  (error ?? "").replace(/^[\w-]+( "[^"]*")?: /, "").split(/[:;(0-9"]/)[0]!.trim();

/** Numbers in steps of 1, 2 and 5. */
function histogram(values: number[], field: string): Bar[] {
  if (!values.length) return [];
  const most = Math.max(...values);
  const rough = most / 8 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const width = [1, 2, 5, 10].map((step) => step * power).find((step) => step >= rough)!;
  const bins = new Map<number, number>();
  for (const value of values) {
    const bin = Math.floor(value / width);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  const round = (value: number): number => Number(value.toPrecision(6));
  return [...bins]
    .sort((one, other) => one[0] - other[0])
    .map(([bin, count]) => {
      const [from, to] = [round(bin * width), round((bin + 1) * width)];
      return { label: `${from}–${to} s`, count, condition: `${field}>=${from} ${field}<${to}` };
    });
}

/** Sentiment over the set: in its order, or by a date of the manifest. */
function Over({ list }: { list: number[] }) {
  const toned = list.filter((index) => facts[index]?.sentiment.length);
  if (toned.length < 2) return null;
  const column = core.value!.columns.find((each) => toned.every((index) => dateOf(index, each) !== null));
  const placed = column === undefined ? [...toned].sort((one, other) => one - other) : [...toned].sort((one, other) => dateOf(one, column)! - dateOf(other, column)!);
  const bins = Math.min(BINS, placed.length);
  const columns = Array.from({ length: bins }, (_, bin) => {
    const part = placed.slice(Math.floor((bin * placed.length) / bins), Math.floor(((bin + 1) * placed.length) / bins));
    const shares = TONES.map((label) => part.filter((index) => facts[index]!.sentiment[0] === label).length / part.length);
    const ends = [part[0]!, part.at(-1)!].map((index) => (column === undefined ? `file ${index + 1}` : columnOf(details[index]!.record, column)));
    return { name: ends[0] === ends[1] ? `${ends[0]}` : `${ends[0]} to ${ends[1]}`, shares };
  });
  return (
    <section class="chart" aria-label="Sentiment over the set">
      <h3>Sentiment {column === undefined ? "over the set, in its order" : `by ${column}`}</h3>
      <svg viewBox={`0 0 ${bins} 1`} preserveAspectRatio="none" role="img" aria-label="Shares of sentiments; the table below has the numbers">
        {columns.map(({ shares }, bin) => {
          let from = 1;
          return shares.map((share, tone) => {
            from -= share;
            return <rect class={`tone ${TONES[tone]}`} x={bin + 0.05} width={0.9} y={from} height={share} />;
          });
        })}
      </svg>
      <p class="legend">
        {TONES.map((label) => (
          <span>
            <span class={`swatch tone ${label}`} aria-hidden="true" /> {label}
          </span>
        ))}
      </p>
      <details>
        <summary>As a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">Part of the set</th>
              {TONES.map((label) => (
                <th scope="col">{label}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {columns.map(({ name, shares }) => (
              <tr>
                <th scope="row">{name}</th>
                {shares.map((share) => (
                  <td>{Math.round(100 * share)} %</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </section>
  );
}

function dateOf(index: number, column: string): number | null {
  const text = columnOf(details[index]!.record, column);
  if (!text || !/^\d{4}-\d{2}-\d{2}/.test(text)) return null;
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}
