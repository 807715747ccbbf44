import { core } from "./store";

/** The address of a file's thumbnail; null if there is none. */
export function thumbnailOf(index: number): string | null {
  const { items, per_folder } = core.value!;
  const id = items.id[index]!;
  return items.thumbnail[index] ? `thumbnails/${Math.floor(id / per_folder)}/${id}.jpg` : null;
}

/** When the frames of a video's strip are shown; one of a picture. */
export const tileTimes = (index: number): number[] => {
  const strip = core.value!.items.thumbnail[index];
  return strip ? (strip.length > 2 ? strip.slice(2) : [0]) : [];
};

/** A frame of the thumbnail: `share` of the way through its strip, else the one in its middle. */
export function Thumbnail({ index, share, tile, whole }: { index: number; share?: number | null; tile?: number; whole?: boolean }) {
  const address = thumbnailOf(index);
  const strip = core.value!.items.thumbnail[index];
  if (!address || !strip) return <div class="no-thumbnail" aria-hidden="true">{SIGNS[core.value!.items.kind[index]!] ?? "?"}</div>;
  const tiles = Math.max(1, strip.length - 2);
  const chosen = tile ?? Math.min(tiles - 1, Math.floor(tiles * (share ?? 0.5)));
  const wide = strip[0]! / strip[1]!;
  // Decoded with the card: small as it is, a card that is drawn twice costs more. And only what is near the screen is there.
  if (tiles === 1) return <img src={address} alt="" decoding="sync" class={whole ? "whole" : ""} width={strip[0]} height={strip[1]} />;
  // The strip is laid behind a window of one tile.
  return (
    <div class={`strip${whole ? " whole" : ""}`}>
      <div class="window" style={{ aspectRatio: `${wide}` }} data-wide={wide > 16 / 9 ? "" : undefined}>
        <img src={address} alt="" decoding="sync" style={{ width: `${tiles * 100}%`, transform: `translateX(${(-100 * chosen) / tiles}%)` }} />
      </div>
    </div>
  );
}

const SIGNS: Record<string, string> = { image: "▧", video: "▷", audio: "♪" };
