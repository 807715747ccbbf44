import { addressOf } from "./packs";
import { core } from "./store";

/** When the frames of a video's strip are shown; one of a picture. */
export const tileTimes = (index: number): number[] => {
  const strip = core.value!.items.thumbnail[index];
  return strip ? (strip.length > 2 ? strip.slice(2) : [0]) : [];
};

/** A frame of the thumbnail: `share` of the way through its strip, else the one in its middle. */
export function Thumbnail({ index, share, tile, whole }: { index: number; share?: number | null; tile?: number; whole?: boolean }) {
  const strip = core.value!.items.thumbnail[index];
  const address = strip && addressOf(index);
  if (!strip) return <div class="no-thumbnail" aria-hidden="true">{SIGNS[core.value!.items.kind[index]!] ?? "?"}</div>;
  if (!address) return <div class="no-thumbnail" />; // it is on its way
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
