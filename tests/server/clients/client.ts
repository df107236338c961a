/** Uses the types that openapi-typescript made of the description: node client.js ADDRESS, beside photo.png. */

import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./api";

function check(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}

async function run(): Promise<void> {
  const client = createClient<paths, "application/json">({ baseUrl: process.argv[2]! }), photo = readFileSync("photo.png");
  check((await client.GET("/v1/health")).data?.status === "ok", "health");
  const json = await client.POST("/v1/unmask", {
    body: { photo: photo.toString("base64"), seed: 3, large_hole: false },
  });
  check(json.data?.seed === 3 && json.data.faces.length === 1, `JSON: ${JSON.stringify(json.error)}`);
  const form = await client.POST("/v1/unmask", {
    body: { photo: "", seed: 3, large_hole: false },
    headers: { Accept: "application/json" },
    bodySerializer: (body) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(body)) form.set(name, String(value));
      form.set("photo", new Blob([new Uint8Array(photo)]));
      return form;
    },
  });
  check(form.data?.photo === json.data?.photo, `a form: ${JSON.stringify(form.error)}`);
  const wrong = await client.POST("/v1/unmask", {
    body: { photo: "AAAA" },
  });
  check(wrong.response.status === 415 && wrong.error!.error.fix !== "", "a refusal");
}

run().catch((error) => { console.error(error); process.exitCode = 1; });
