// The server of this page: whether it wants a key, and whether it has a captioner.
import { signal } from "@preact/signals";

export type Door =
  | "asking"
  | "open"
  /** It wants a key. */
  | "key"
  /** It does not know the one that was given. */
  | "wrong key"
  | "no captioner"
  | "away";

export const door = signal<Door>("asking");
/** Codes of the languages that the translator knows; null: not known, all may be tried. None: it has no translator. */
export const translated = signal<ReadonlySet<string> | null>(null);
const KEY = "babelview-key";
/** Where the browser keeps nothing, the key is kept here. */
let key = "";

function keptKey(): string {
  try {
    return key || (sessionStorage.getItem(KEY) ?? "");
  } catch {
    return key;
  }
}

/** Whether there is a key that can be forgotten. */
export const hasKey = (): boolean => keptKey() !== "";

/** Take a key until the tab is closed; an empty one is forgotten. */
export async function takeKey(given: string): Promise<void> {
  key = given;
  try {
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Kept for as long as the page is there.
  }
  await look();
}

/** The header that a request needs. */
export function authorization(): Record<string, string> {
  const given = keptKey();
  return given ? { Authorization: `Bearer ${given}` } : {};
}

interface Health {
  parts?: Record<string, string>;
}

/** Ask the server whether this page can be used. */
export async function look(): Promise<void> {
  try {
    if (!/^[\x21-\x7e]*$/.test(keptKey())) {
      door.value = "wrong key"; // none that could be sent
      return;
    }
    const models = await fetch("v1/models", { headers: authorization(), cache: "no-store" });
    if (models.status === 401) {
      door.value = hasKey() ? "wrong key" : "key";
      return;
    }
    const health = (await (await fetch("health", { cache: "no-store" })).json()) as Health;
    door.value = health.parts && !Object.hasOwn(health.parts, "captioner") ? "no captioner" : "open";
    await lookForLanguages();
  } catch {
    door.value = "away";
  }
}

async function lookForLanguages(): Promise<void> {
  const answer = await fetch("languages", { headers: authorization(), cache: "no-store" });
  if (answer.status === 404) translated.value = new Set();
  if (!answer.ok) return; // it is starting: whatever is chosen will be tried
  const listed = (await answer.json()) as { flores?: string }[];
  translated.value = new Set(listed.flatMap(({ flores }) => flores ?? []));
}
