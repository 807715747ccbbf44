// Builds the report's page and the studio's: each is one script, one style sheet, and HTML without any script of its own.
//   node build.js NAMES.json REPORT_FOLDER STUDIO_FOLDER
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import peggy from "peggy";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const [names, report, studio] = process.argv.slice(2);

const grammar = {
  name: "peggy",
  setup({ onLoad }) {
    onLoad({ filter: /\.peggy$/ }, async ({ path }) => ({
      contents: peggy.generate(await readFile(path, "utf8"), { output: "source", format: "es" }),
      loader: "js",
    }));
  },
};

async function page(folder, html, entryPoints) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints,
    outdir: folder,
    bundle: true,
    format: "iife", // a page from the disk may load no modules
    minify: true,
    target: ["chrome115", "firefox115", "safari16"],
    jsx: "automatic",
    jsxImportSource: "preact",
    charset: "ascii", // however the page's encoding is taken
    legalComments: "eof", // the licences of what is bundled stay with it
    alias: { "babelview:names": names },
    plugins: [grammar],
  });
  await copyFile(html, `${folder}/index.html`);
}

await page(report, here("src/index.html"), { report: here("src/main.tsx"), style: here("src/style.css") });
await page(studio, here("src/studio/index.html"), { studio: here("src/studio/main.tsx"), style: here("src/studio/studio.css") });
await copyFile(here("src/studio/icon.svg"), `${studio}/icon.svg`);
