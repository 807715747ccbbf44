// What is shown: which view, filter and order.
import { computed, effect, signal } from "@preact/signals";
import { changes } from "./edits";
import { keepPreferences } from "./preferences";
import { compile, QueryError, type Query } from "./query";
import { arrived, core, count, facts, indexOf } from "./store";

export type Route =
  | { view: "gallery" }
  | { view: "charts" }
  | { view: "item"; index: number; time: number | null }
  | { view: "compare"; indices: number[] };

export const SORTS: Record<string, { name: string; key: ((index: number) => number | string) | null }> = {
  order: { name: "In their order", key: null },
  name: { name: "Name", key: (index) => core.value!.items.name[index]! },
  longest: { name: "Longest first", key: (index) => -core.value!.items.duration[index]! },
  newest: { name: "Newest answers first", key: (index) => -Date.parse(facts[index]?.answered || "1970-01-01") },
  slowest: { name: "Slowest first", key: (index) => -(facts[index]?.seconds ?? 0) },
  tokens: { name: "Most tokens first", key: (index) => -(facts[index]?.tokens ?? 0) },
  doubtful: { name: "Doubtful first", key: (index) => -(core.value!.items.flags[index]! & 34) },
};

export const route = signal<Route>({ view: "gallery" });
export const typed = signal("");
export const sort = signal("order");
export const selected = signal<ReadonlySet<number>>(new Set());
/** The file that last had the focus in the gallery. */
export const focused = signal(0);
export const told = signal("");

const EVERYTHING: Query = { test: () => true, needles: [] };
let lastGood: Query = EVERYTHING;

export const query = computed<{ found: Query; error: QueryError | null }>(() => {
  if (!core.value) return { found: EVERYTHING, error: null };
  try {
    // A field that has no value yet is about to get one.
    const asked = typed.value.replace(/(^|\s)-?[\p{L}_][\p{L}\p{M}\p{N}_-]*:$/u, "").trim();
    lastGood = asked ? compile(asked) : EVERYTHING;
    return { found: lastGood, error: null };
  } catch (error) {
    if (error instanceof QueryError) return { found: lastGood, error };
    throw error;
  }
});

/** The files that are left, in their order. */
export const shown = computed<number[]>(() => {
  const { found } = query.value;
  void arrived.value;
  if (/\b(accepted|flagged|unreviewed|edited)\b/i.test(typed.value)) void changes.value;
  const all = Array.from({ length: count.value }, (_, index) => index);
  const left = found === EVERYTHING ? all : all.filter((index) => found.test(index));
  const key = SORTS[sort.value]?.key;
  if (!key) return left;
  const keys = new Map(left.map((index) => [index, key(index)]));
  return left.sort((one, other) => compare(keys.get(one)!, keys.get(other)!) || one - other);
});

/** The file of the list that keys are about: the one that had the focus, else the first. */
export const current = computed<number>(() => (shown.value.includes(focused.value) ? focused.value : (shown.value[0] ?? -1)));

const collator = new Intl.Collator(undefined, { numeric: true });
function compare(one: number | string, other: number | string): number {
  return typeof one === "number" && typeof other === "number" ? one - other : collator.compare(`${one}`, `${other}`);
}

export function toggleSelected(index: number): void {
  const next = new Set(selected.value);
  if (!next.delete(index)) next.add(index);
  selected.value = next;
}

/** Add a condition to the filter, or start a new one. */
export function filterBy(condition: string): void {
  const before = typed.value.trim();
  typed.value = before && !before.includes(condition) ? `${/\bOR\b/.test(before) ? `(${before})` : before} ${condition}` : condition;
  go({ view: "gallery" });
}

export const filterByTag = (tag: string): void => filterBy(`tag:${quoted(tag)}`);

export const quoted = (text: string): string => (/^[\p{L}\p{N}_*-]+$/u.test(text) ? text : `"${text.replaceAll('"', "")}"`);

// -- the address ---------------------------------------------------------------------------------------------------

export const addressOf = (target: Route): string => {
  const items = core.value!.items;
  switch (target.view) {
    case "gallery":
      return typed.value ? `#q=${encodeURIComponent(typed.value)}` : "#";
    case "charts":
      return "#charts";
    case "item":
      return `#${items.id[target.index]}${target.time === null ? "" : `&t=${Math.round(target.time * 10) / 10}`}`;
    case "compare":
      return `#compare=${target.indices.map((index) => items.id[index]).join(",")}`;
  }
};

export function go(target: Route): void {
  const address = addressOf(target);
  if (location.hash === address || (address === "#" && !location.hash)) read();
  else location.hash = address;
}

function read(): void {
  const hash = location.hash.slice(1);
  const item = /^(\d+)(?:&t=(\d+(?:\.\d+)?))?$/.exec(hash);
  const compared = /^compare=(\d+(?:,\d+)+)$/.exec(hash);
  if (item) {
    const index = indexOf(Number(item[1]));
    if (index !== undefined) {
      focused.value = index;
      route.value = { view: "item", index, time: item[2] === undefined ? null : Number(item[2]) };
      return;
    }
    told.value = `There is no file ${item[1]} in this report.`;
  } else if (compared) {
    const indices = compared[1]!.split(",").map((id) => indexOf(Number(id))).filter((index) => index !== undefined);
    route.value = { view: "compare", indices };
    return;
  } else if (hash === "charts") {
    route.value = { view: "charts" };
    return;
  } else if (hash.startsWith("q=")) {
    try {
      typed.value = decodeURIComponent(hash.slice(2).replaceAll("+", " "));
    } catch {
      typed.value = "";
    }
  }
  route.value = { view: "gallery" };
}

export function startState(): void {
  keepPreferences("babelview-report");
  read();
  addEventListener("hashchange", read);
  effect(() => {
    if (route.value.view === "gallery") history.replaceState(null, "", addressOf({ view: "gallery" }) || "#");
  });
}
