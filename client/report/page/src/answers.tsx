// What the models said about a file, task by task, in the language that was chosen.
import type { Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Editor } from "./editor";
import { Difference, wordsApart } from "./difference";
import { Marked } from "./marked";
import { doubtfulSentences, Original } from "./original";
import { language } from "./preferences";
import { core, details, ENGLISH, languageOf, nameOfCode } from "./store";
import { besideMoments, clock, counted, titleOf, tone, type Shown, type ShownSegment } from "./texts";
import type { Data } from "./types";
import { editing, isEditing } from "./ui";

interface Props {
  index: number;
  answers: Shown[];
  now: Signal<number>;
  seek: (seconds: number) => void;
  /** What a click on an item of a list does, where it does something. */
  onItem?: ((item: string) => void) | undefined;
  /** What was said about another file, beside this one. */
  others?: Shown[] | undefined;
}

export function Answers({ index, answers, now, seek, onItem, others }: Props) {
  if (!answers.length) return <p class="notice">Nothing was said about this file.</p>;
  const first = answers.find((each) => each.editable !== undefined)?.key;
  return (
    <>
      {answers.map((shown) => (
        <Answer key={shown.key} index={index} shown={shown} now={now} seek={seek} onItem={onItem} others={others} isFirst={shown.key === first} />
      ))}
    </>
  );
}

function Answer({ index, shown, now, seek, onItem, others, isFirst }: Omit<Props, "answers"> & { shown: Shown; isFirst: boolean }) {
  const { answer, key } = shown;
  const own = languageOf(shown.inEnglish ? ENGLISH : language.value);
  const counts = answer.translation_verdicts?.[language.value];
  const isOpen = shown.editable !== undefined && (isEditing(index, key) || (isFirst && isEditing(index, "first")));
  const doubts = doubtfulSentences(index, key);
  const data = besideMoments(shown);
  const said = shown.text !== null || shown.items !== null || data !== undefined;
  const other = others?.find((each) => each.key === key);
  return (
    <article class="answer" aria-labelledby={`answer-${key}-${index}`}>
      <div class="answer-head">
        <h3 id={`answer-${key}-${index}`}>{titleOf(key)}</h3>
        {others && <Difference one={shown} other={other} />}
        {answer.question && <p class="question"><bdi>{answer.question}</bdi></p>}
        <span class="badges">
          {answer.label && <span class={`badge tone ${tone(answer.label)}`}>{answer.label}</span>}
          {answer.verdict && answer.verdict !== "ok" && (
            <span class={`badge ${answer.verdict === "doubtful" ? "doubt" : ""}`} title={(answer.reasons ?? []).join("\n")}>
              {answer.verdict === "doubtful" ? "answer doubtful" : answer.verdict}
            </span>
          )}
          {counts?.["doubtful"] ? (
            <span class="badge doubt">
              translation doubtful: {counted(counts["doubtful"], "sentence")}
            </span>
          ) : null}
          {shown.edited && <span class="badge edited">edited</span>}
          {shown.missing && language.value !== ENGLISH && <span class="badge">{shown.missing === "some" ? "partly " : ""}not in {languageOf(language.value)?.name}</span>}
        </span>
        {shown.editable !== undefined && !isOpen && (
          <button type="button" class="plain" onClick={() => (editing.value = { index, key })} aria-label={`Edit ${titleOf(key)}`}>
            Edit
          </button>
        )}
        {shown.editable === undefined && details[index]?.editable?.[key]?.whole !== undefined && language.value !== ENGLISH && (
          <button type="button" class="plain" title={whyNotHere(shown)} onClick={() => (language.value = ENGLISH)}>
            Edit in English
          </button>
        )}
      </div>
      {isOpen ? (
        <Editor index={index} task={key} answer={shown.editable!} isList={shown.items !== null} {...dataOf(shown)} texts={shown.schema === undefined ? (shown.items ?? [shown.text ?? ""]) : [JSON.stringify(shown.data)]} was={shown.was} stored={shown.stored} />
      ) : (
        said && (
          <div class="answer-body" lang={own?.tag} dir={own?.direction}>
            {shown.items ? <Items items={shown.items} onItem={onItem} others={other?.items} /> : shown.text !== null ? <Text text={shown.text} doubts={doubts} apart={other?.text ? wordsApart(shown.text, other.text) : undefined} /> : <Value value={data ?? null} />}
          </div>
        )
      )}
      {shown.pending && shown.schema !== undefined && shown.segments.length > 0 && (
        <p class="hint">The moments below follow once the change is in the results (Save, then babelview report --apply), and the report written again.</p>
      )}
      {shown.segments.length > 0 && <Segments index={index} task={key} segments={shown.segments} now={now} seek={seek} />}
      {data !== shown.data && !isOpen && (
        <details>
          <summary>The same as data</summary>
          <div lang={own?.tag} dir={own?.direction}>
            <Value value={shown.data ?? null} />
          </div>
        </details>
      )}
      <Original index={index} shown={shown} />
      <Doubts index={index} shown={shown} />
      {shown.edited && shown.was && !isOpen && (
        <details>
          <summary>The model's own words</summary>
          <div lang={own?.tag} dir={own?.direction}>{shown.schema === undefined ? shown.was.join(", ") : <Value value={JSON.parse(shown.was[0]!) as Data} />}</div>
        </details>
      )}
      {answer.reasoning && (
        <details>
          <summary>What the model thought before</summary>
          <Text text={answer.reasoning} />
        </details>
      )}
      <p class="origin">
        {answer.model} · {counted(answer.generated_tokens, "token")} in {answer.request_time_sec} s
        {answer.finish_reason === "length" && " · cut off"} · <time dateTime={answer.answered_at}>{new Date(answer.answered_at).toLocaleString()}</time>
      </p>
    </article>
  );
}

/** Why an answer cannot be edited in the language that is shown. */
const whyNotHere = (shown: Shown): string =>
  shown.missing === "all" ? "It is not translated into this language: only the English can be edited" : "Data are edited in English; their translations stay as they are";

export function Text({ text, doubts = [], apart }: { text: string; doubts?: string[]; apart?: Set<string> | undefined }) {
  return (
    <>
      {text.split(/\n\s*\n/).map((part) => (
        <p class="text">
          <Marked text={part} doubts={doubts} apart={apart} />
        </p>
      ))}
    </>
  );
}

/** What the editor has to know of data. */
const dataOf = ({ schema }: { schema: number | undefined }) => ({ schema: schema === undefined ? undefined : core.value!.schemas[schema] });

function Items({ items, onItem, others }: { items: string[]; onItem: Props["onItem"]; others?: string[] | null | undefined }) {
  const apart = (item: string): string => (others && !others.includes(item) ? " apart" : "");
  if (!items.length) return <p class="none">none</p>;
  return (
    <ul class="tags">
      {items.map((item) => (
        <li>
          {onItem && language.value === ENGLISH ? (
            <button type="button" class={`badge tag${apart(item)}`} title={`Show all with the tag ${item}`} onClick={() => onItem(item)}>
              <Marked text={item} />
            </button>
          ) : (
            <span class={`badge tag${apart(item)}`}>
              <Marked text={item} />
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** Data of a structured answer: names and values, lists within lists. */
export function Value({ value }: { value: Data }) {
  if (value === null) return <span class="none">none</span>;
  if (Array.isArray(value)) {
    if (!value.length) return <span class="none">none</span>;
    const simple = value.every((part) => part === null || typeof part !== "object");
    return (
      <ul class={simple ? "tags" : "parts"}>
        {value.map((part) => (
          <li class={simple ? "badge" : ""}>
            <Value value={part} />
          </li>
        ))}
      </ul>
    );
  }
  if (typeof value === "object") {
    return (
      <dl class="data">
        {Object.entries(value).map(([name, part]) => [
          <dt>{titleOf(name)}</dt>,
          <dd>
            <Value value={part} />
          </dd>,
        ])}
      </dl>
    );
  }
  if (typeof value === "boolean") return <>{value ? "yes" : "no"}</>;
  return <Marked text={String(value)} />;
}

/** The segments as a list that follows the video. */
function Segments({ index, task, segments, now, seek }: { index: number; task: string; segments: ShownSegment[]; now: Signal<number>; seek: (seconds: number) => void }) {
  const list = useRef<HTMLOListElement>(null);
  const doubts = doubtfulSentences(index, task);
  const spoken = segments.map(({ data }) => spokenIn(data));
  const current = segments.findLastIndex((segment) => now.value >= segment.start && now.value < segment.end);
  useEffect(() => {
    const row = list.current?.children[current];
    if (!(row instanceof HTMLElement) || !list.current) return;
    // Within the list alone: the page stays where it is.
    const { offsetTop, offsetHeight } = row;
    const { scrollTop, clientHeight } = list.current;
    if (offsetTop < scrollTop || offsetTop + offsetHeight > scrollTop + clientHeight) list.current.scrollTop = offsetTop - clientHeight / 3;
  }, [current]);
  return (
    <ol class="segments" ref={list} tabIndex={0} aria-label={`${titleOf(task)} by time`}>
      {segments.map((segment, number) => {
        const own = languageOf(segment.inEnglish ? ENGLISH : language.value);
        const key = `${task} ${number}`;
        return (
          <li aria-current={number === current ? "true" : undefined}>
            <button type="button" class="time" onClick={() => seek(segment.start)} aria-label={`Go to ${clock(segment.start, true)}`}>
              {clock(segment.start)}
            </button>
            {isEditing(index, key) && segment.answer !== undefined ? (
              <Editor index={index} task={task} answer={segment.answer} start={segment.start} isList={false} {...dataOf(segment)} texts={[segment.schema === undefined ? segment.text : JSON.stringify(segment.data)]} was={segment.was === null ? null : [segment.was]} stored={[segment.stored]} />
            ) : (
              <div lang={own?.tag} dir={own?.direction}>
                {segment.title && <strong><Marked text={segment.title} /></strong>}
                {segment.text && segment.text !== segment.title && <Text text={segment.text} doubts={doubts} />}
                {spoken[number] ? spoken[number] !== spoken[number - 1] && <span class="badge">spoken in {nameOfCode(spoken[number])}</span> : segment.data !== undefined && <Value value={segment.data} />}
                {segment.verdict === "doubtful" && <span class="badge doubt" title={segment.reasons.join("\n")}>doubtful</span>}
                {segment.edited && <span class="badge edited" title={segment.was ?? ""}>edited</span>}
              </div>
            )}
            {segment.answer !== undefined && !isEditing(index, key) && (
              <button type="button" class="plain" onClick={() => (editing.value = { index, key })} aria-label={`Edit ${titleOf(task)} at ${clock(segment.start)}`}>
                Edit
              </button>
            )}
          </li>
        );
      })}
    </ol>
  );
}

/** The language of a piece of a transcript, of which nothing else is known. */
function spokenIn(data: Data | undefined): string | undefined {
  if (!data || typeof data !== "object" || Array.isArray(data)) return undefined;
  const [[name, code] = [], ...others] = Object.entries(data);
  return name === "language" && typeof code === "string" && !others.length ? code : undefined;
}

/** Why the answer, and what of its translation, is doubtful: the warnings that are about it. */
function Doubts({ index, shown }: { index: number; shown: Shown }) {
  const reasons = shown.answer.verdict === "ok" ? [] : (shown.answer.reasons ?? []);
  const start = `${shown.key}: ${language.value}: doubtful translation: `;
  const warnings = details[index]!.record.warnings;
  const doubts = warnings.filter((warning) => warning.startsWith(start)).map((warning) => warning.slice(start.length));
  const others = (core.value?.languages ?? []).filter(
    ({ code }) => code !== language.value && shown.answer.translation_verdicts?.[code]?.["doubtful"],
  );
  if (!reasons.length && !doubts.length && !others.length) return null;
  return (
    <div class="doubts">
      {reasons.length > 0 && <p>Why {language.value === ENGLISH ? "the answer" : "the original answer"} is {shown.answer.verdict}: {reasons.join("; ")}</p>}
      {doubts.length > 0 && (
        <ul>
          {doubts.map((doubt) => (
            <li dir="auto">{doubt}</li>
          ))}
        </ul>
      )}
      {others.length > 0 && (
        <p>
          {doubts.length ? "The translation is doubtful also in" : "The translation is doubtful in"}{" "}
          {others.map(({ code, name }) => (
            <button type="button" class="plain" onClick={() => (language.value = code)}>
              {name}
            </button>
          ))}
        </p>
      )}
    </div>
  );
}
