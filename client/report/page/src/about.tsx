// What is known of a file, and what was wrong with it.
import { facts } from "./store";
import { clock } from "./texts";
import type { FileRecord } from "./types";

/** Pixels; there the answers stand below, and shall be seen first. */
const NARROW = 900;

/** What is known of the file and of how it was asked about. */
export function About({ index, record, media }: { index: number; record: FileRecord; media: string | undefined }) {
  const known = facts[index]!;
  const rows: [string, string | undefined | false][] = [
    ["File", record.file],
    ["Kind", record.kind ?? "could not be read"],
    ["Size", record.width !== undefined && `${record.width} × ${record.height}${record.size_mb === null ? "" : `, ${sizeOf(record.size_mb)}`}`],
    ["Duration", record.duration_sec !== undefined && `${clock(record.duration_sec, true)}${record.fps ? `, ${Math.round(record.fps * 100) / 100} frames/s` : ""}`],
    ["Model", known.models.join(", ")],
    ["Time", `${record.total_processing_time_sec} s; all requests took ${Math.round(known.requestSeconds * 1000) / 1000} s`],
    ["Tokens", known.tokens.toLocaleString()],
    ["Live photo of", record.live_photo_of],
    ["SHA-256", record.sha256 ?? undefined],
    ...Object.entries(record.manifest ?? {}).map(([name, value]): [string, string] => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  return (
    <details class="about" open={innerWidth > NARROW}>
      <summary>About the file</summary>
      <dl>
        {rows.map(([name, value]) => value && [<dt>{name}</dt>, <dd dir="auto">{value}</dd>])}
      </dl>
      {media && (
        <a href={media} target="_blank" rel="noreferrer noopener">
          Open the file
        </a>
      )}
    </details>
  );
}

/** Small files in their own unit: none has 0 MB. */
const sizeOf = (megabytes: number): string =>
  megabytes >= 0.1 ? `${megabytes} MB` : megabytes > 0 ? `${Math.max(1, Math.round(1000 * megabytes))} kB` : "less than 1 kB";

export function Problems({ record }: { record: FileRecord }) {
  if (!record.error && !record.warnings.length) return null;
  return (
    <section class="problems" aria-label="Problems">
      {record.error && (
        <p class="bad">
          <strong>Failed:</strong> <bdi>{record.error}</bdi>
        </p>
      )}
      {record.warnings.length > 0 && (
        <details open={record.warnings.length <= 5}>
          <summary>
            {record.warnings.length} warning{record.warnings.length === 1 ? "" : "s"}
          </summary>
          <ul>
            {record.warnings.map((warning) => (
              <li dir="auto">{warning}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
