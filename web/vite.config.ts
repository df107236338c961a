import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { defineConfig, type Plugin } from "vite";

const HERE = import.meta.dirname;
const PAGE = join(HERE, "../src/facefill/server/page");
const SOURCES = ["index.html", "docs.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src",
  "public"];

function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => files(join(path, name)));
}

/** SHA-256 over every file's path and content, in the order of the paths; tests/server/test_page.py does the same. */
function hash(folder: string, paths: string[]): string {
  const sum = createHash("sha256");
  const names = paths.map((path) => relative(folder, path).replaceAll("\\", "/")).sort();
  for (const name of names) {
    const content = readFileSync(join(folder, name));
    sum.update(`${name}\n${content.length}\n`).update(content);
  }
  return sum.digest("hex");
}

/** Keeps beside the built page what it was built from, so that a test without Node sees whether that is still so. */
function stamp(): Plugin {
  return {
    name: "stamp",
    closeBundle() {
      const sources = hash(HERE, SOURCES.flatMap((name) => files(join(HERE, name))));
      const built = hash(PAGE, files(PAGE).filter((path) => !path.endsWith("build.json")));
      writeFileSync(join(PAGE, "build.json"), `${JSON.stringify({ sources, built }, null, 2)}\n`);
    },
  };
}

export default defineConfig({
  root: HERE,
  base: "./",
  plugins: [stamp()],
  build: {
    outDir: PAGE,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: { index: join(HERE, "index.html"), docs: join(HERE, "docs.html") } },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
