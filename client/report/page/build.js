// Builds the report's page into ../static: one script, one style sheet, one HTML file without any script of its own.
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import peggy from "peggy";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here(process.argv[2] ?? "../static/");

const grammar = {
  name: "peggy",
  setup({ onLoad }) {
    onLoad({ filter: /\.peggy$/ }, async ({ path }) => ({
      contents: peggy.generate(await readFile(path, "utf8"), { output: "source", format: "es" }),
      loader: "js",
    }));
  },
};

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({
  entryPoints: { report: here("src/main.tsx"), style: here("src/style.css") },
  outdir: out,
  bundle: true,
  format: "iife", // a page from the disk may load no modules
  minify: true,
  target: ["chrome115", "firefox115", "safari16"],
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "ascii", // however the page's encoding is taken
  legalComments: "eof", // the licences of what is bundled stay with it
  plugins: [grammar],
});
await copyFile(here("src/index.html"), `${out}/index.html`);
