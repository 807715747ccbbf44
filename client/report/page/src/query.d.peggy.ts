export type Node =
  | { type: "all" }
  | { type: "or" | "and"; parts: Node[] }
  | { type: "not"; part: Node }
  | { type: "words"; text: string; quoted: boolean }
  | { type: "field"; field: string; value: string; at: number }
  | { type: "compared"; field: string; operator: ">" | ">=" | "<" | "<=" | "="; value: number; at: number };

export declare function parse(text: string): Node;
