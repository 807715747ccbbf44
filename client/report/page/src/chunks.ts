// The report's data come from scripts beside the page: the core first, then the texts, chunk by chunk.
import { thumbnail } from "./packs";
import { scriptAddress } from "./policy";
import { arrived, chunksHere, chunksWanted, core, ENGLISH, languages, problem, take } from "./store";
import type { Core } from "./types";

const AT_ONCE = 3;
const PAUSE_MS = 150;

declare global {
  interface Window {
    babelview: { receive: (name: string, json: string) => void; thumbnail: typeof thumbnail };
  }
}

const waiting: string[] = [];
const known = new Map<string, { code: string; number: number }>();
let loading = 0;
let announced = 0;

window.babelview = {
  thumbnail,
  receive(quotedName, json) {
    const name = JSON.parse(quotedName) as string;
    if (name === "core") begin(JSON.parse(json) as Core);
  },
};

function begin(found: Core): void {
  if (core.value) return;
  for (const [code, names] of Object.entries(found.chunks)) {
    names.forEach((name, number) => {
      if (name) known.set(name, { code, number });
    });
  }
  window.babelview.receive = (quotedName, json) => {
    const known_ = known.get(JSON.parse(quotedName) as string);
    if (known_) take(known_.code, known_.number * found.per_chunk, JSON.parse(json) as never[]);
  };
  chunksWanted.value = known.size;
  core.value = found;
}

/** Load the texts: the answers themselves first, then those in the language that is shown, then the others. */
export function loadTexts(first: string): void {
  const order = [...new Set([ENGLISH, first, ...languages.value.map((each) => each.code)])];
  for (const code of order) for (const name of core.value?.chunks[code] ?? []) if (name) waiting.push(name);
  for (let each = 0; each < AT_ONCE; each++) loadNext();
}

function loadNext(): void {
  const name = waiting.shift();
  if (!name) return;
  loading++;
  const script = document.createElement("script");
  const done = (): void => {
    script.remove();
    loading--;
    chunksHere.value++;
    announce();
    // A pause, in which the page is drawn and keys are heard.
    setTimeout(loadNext, 0);
  };
  script.onload = done;
  script.onerror = () => {
    problem.value = `data/${name}.js is missing: the report was moved without its folder, or written anew: load the page again`;
    done();
  };
  script.src = scriptAddress(`data/${name}.js`);
  document.head.append(script);
}

function announce(): void {
  const now = performance.now();
  if (now - announced >= PAUSE_MS || (!waiting.length && !loading)) {
    announced = now;
    arrived.value++;
  }
}
