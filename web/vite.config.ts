import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { opencv, readOpenCv } from "./opencv";

const HERE = import.meta.dirname;
const PAGE = join(HERE, "../src/facefill/server/page");
const ORT = join(HERE, "node_modules/onnxruntime-web/dist");
const SOURCES = ["index.html", "docs.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts",
  "opencv.ts", "src", "public"];

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

/** Lays WebAssembly, packed, and what starts it beside the page, for `facefill page`. */
function runtime(): Plugin {
  return {
    name: "runtime",
    apply: "build",
    closeBundle() {
      const to = join(PAGE, "runtime"), pack = (name: string, data: Buffer): void => writeFileSync(join(to, name), gzipSync(data, { level: 9 }));
      mkdirSync(to, { recursive: true });
      pack("opencv.bin", readOpenCv().wasm);
      for (const [name, source] of [["ort", ""], ["ort-webgpu", ".asyncify"]]) {
        const from = join(ORT, `ort-wasm-simd-threaded${source}`);
        pack(`${name}.bin`, readFileSync(`${from}.wasm`));
        copyFileSync(`${from}.mjs`, join(to, `${name}.mjs`));
      }
    },
  };
}

/** Keeps beside the built page what it was built from, so that a test without Node sees whether that is still so. */
function stamp(): Plugin {
  return {
    name: "stamp",
    apply: "build",
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
  plugins: [opencv(), runtime(), stamp()],
  // ONNX Runtime without the WebAssembly in its script: that is fetched when it is needed.
  resolve: { alias: { "onnxruntime-web/webgpu": join(ORT, "ort.webgpu.min.mjs") } },
  worker: { format: "es", plugins: () => [opencv()] },
  build: {
    outDir: PAGE,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: join(HERE, "index.html"), docs: join(HERE, "docs.html"), sw: join(HERE, "src/sw.ts") },
      output: { entryFileNames: ({ name }) => name === "sw" ? "sw.js" : "assets/[name]-[hash].js" },
    },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
