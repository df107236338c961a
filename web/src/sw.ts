/** The service worker of the page that `facefill page` writes: keeps the page's own files, so that it works offline, and
 * adds the headers by which browsers let a page use several threads and talk to nobody else. */

const VERSION = "facefill-VERSION", POLICY = "facefill-POLICY"; // `facefill page` writes both
const here = self as unknown as {
  skipWaiting(): Promise<void>; clients: { claim(): Promise<void> }; registration: { scope: string };
  addEventListener(name: string, listener: (event: Event & {
    waitUntil(work: Promise<unknown>): void; respondWith(answer: Promise<Response>): void; request: Request;
  }) => void): void;
};

here.addEventListener("install", (event) => event.waitUntil(here.skipWaiting()));
here.addEventListener("activate", (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith("facefill-") && name !== VERSION) await caches.delete(name);
  await here.clients.claim();
})()));
here.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(here.registration.scope)) event.respondWith(answer(request));
});

async function answer(request: Request): Promise<Response> {
  const kept = await caches.open(VERSION), url = request.url.split("#")[0]!, found = await kept.match(url);
  if (found) return found;
  const fresh = await fetch(request);
  if (fresh.status !== 200) return fresh;
  const headers = new Headers(fresh.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  headers.set("Content-Security-Policy", POLICY);
  const safe = new Response(fresh.body, { status: 200, headers });
  await kept.put(url, safe.clone());
  return safe;
}
