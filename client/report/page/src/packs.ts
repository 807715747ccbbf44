// Thumbnails come from packs beside the page: scripts of one call for each, read when one of theirs is to be shown.
import { signal, type Signal } from "@preact/signals";
import { scriptAddress } from "./policy";
import { core, problem } from "./store";

/** More than are ever on the screen, of some 1 MiB each. */
const MOST_PACKS = 120;

type Pack = Signal<string[] | null>;
/** Those that are here or on their way, the one that was used last at the end. */
const packs = new Map<number, Pack>();

/** The address of a file's thumbnail; null as long as its pack is read, or if it cannot be. */
export function addressOf(index: number): string | null {
  const { pack, place } = core.value!.items;
  const jpeg = packOf(pack[index]!).value?.[place[index]!];
  return jpeg ? `data:image/jpeg;base64,${jpeg}` : null;
}

export const hasThumbnail = (index: number): boolean => core.value!.items.thumbnail[index] !== null;

function packOf(number: number): Pack {
  const found = packs.get(number) ?? read(number);
  packs.delete(number);
  packs.set(number, found);
  return found;
}

let loading = 0;
let waiting: (() => void)[] = [];

/** When no pack is on its way any more. */
export const packsHere = (): Promise<void> => new Promise((resolve) => (loading ? waiting.push(resolve) : resolve()));

function read(number: number): Pack {
  const pack: Pack = signal(null);
  const name = core.value!.packs[number]!;
  const script = document.createElement("script");
  const found: string[] = [];
  arriving.set(script, found);
  loading++;
  script.onload = script.onerror = (event) => {
    script.remove();
    pack.value = found;
    if (!--loading) {
      for (const done of waiting) done();
      waiting = [];
    }
    const reason = (event as Event).type === "error" ? "is missing" : !found.length && "cannot be read"; // no pack is empty
    if (reason) {
      problem.value = `thumbnails/${name}.js ${reason}: the report was moved without its folder, or written anew: load the page again`;
    }
  };
  script.src = scriptAddress(`thumbnails/${name}.js`);
  document.head.append(script);
  if (packs.size >= MOST_PACKS) packs.delete(packs.keys().next().value!);
  return pack;
}

const arriving = new WeakMap<object, string[]>();

/** Takes the thumbnails of a pack, in their order. */
export function thumbnail(_bytes: number, _sha256: string, _strip: number[], jpeg: string): void {
  if (document.currentScript) arriving.get(document.currentScript)?.push(jpeg);
}
