// What client/report/write.py hands to the page.

export interface Language {
  code: string;
  tag: string;
  name: string;
  direction: "ltr" | "rtl";
}

export interface Task {
  key: string;
  task: string;
  question: string | null;
}

/** What is read first: enough to show the gallery; texts come in chunks. */
export interface Core {
  report: string;
  title: string;
  written: string;
  version: string;
  stats: Record<string, unknown>;
  languages: Language[];
  tasks: Task[];
  /** Whether what is accepted, flagged and edited can be brought into the results: not into those of a cluster. */
  takes_changes: boolean;
  /** JSON schemas of data that may be edited. */
  schemas: Record<string, unknown>[];
  columns: string[];
  per_chunk: number;
  /** The names of the scripts with thumbnails. */
  packs: string[];
  /** By language: the name of the script of each chunk; null where it holds nothing of that language. */
  chunks: Record<string, (string | null)[]>;
  items: {
    id: number[];
    name: string[];
    kind: string[];
    duration: number[];
    flags: number[];
    /** Width and height of a tile, then the time of each tile of a video's strip. */
    thumbnail: (number[] | null)[];
    /** The pack of a thumbnail, and its place in there. */
    pack: (number | null)[];
    place: (number | null)[];
  };
}

export type Data = null | boolean | number | string | Data[] | { [name: string]: Data };

export interface Segment {
  start: number;
  end: number;
  text?: string;
  title?: string;
  score?: number;
  data?: Data;
  verdict?: string;
  reasons?: string[];
  edited?: Record<string, Data>;
}

/** An answer of a record, as docs/output.md has it, without translations; a list stands under its task's own name. */
export interface Answer {
  [field: string]: unknown;
  question?: string;
  text?: string;
  raw?: string;
  data?: Data;
  label?: string | null;
  segments?: Segment[];
  verdict: string | null;
  reasons?: string[];
  reasoning?: string;
  languages: string[];
  translation_verdicts?: Record<string, Record<string, number>>;
  generated_tokens: number;
  request_time_sec: number;
  tokens_per_sec: number | null;
  finish_reason: string | null;
  model: string;
  prompt: string;
  answered_at: string;
  edited?: Record<string, Data>;
}

export interface FileRecord {
  file: string;
  manifest?: Record<string, unknown>;
  gone?: boolean;
  kind: string | null;
  sha256: string | null;
  size_mb: number | null;
  duration_sec?: number;
  fps?: number;
  frames?: number;
  width?: number;
  height?: number;
  live_photo_of?: string;
  review?: { state: string; note: string };
  tasks: Record<string, Answer>;
  total_processing_time_sec: number;
  warnings: string[];
  error: string | null;
}

export interface Details {
  record: FileRecord;
  /** Where the file lies, relative to the page. */
  media?: string;
  /** By task: the ledger's numbers of the answers that may be edited. */
  editable?: Record<string, { whole?: number; segments?: number[]; schema?: number }>;
}

/** An answer in another language. */
export interface Translated {
  text?: Data;
  segments?: (Data | null)[];
}

export const FLAGS = { failed: 1, doubtful: 2, retried: 4, gone: 8, warned: 16, translationDoubtful: 32 } as const;
