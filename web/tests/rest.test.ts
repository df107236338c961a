import { beforeAll, describe, expect, it, vi } from "vitest";

vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => undefined });

describe("what the page says while it waits", () => {
  let said: typeof import("../src/rest");
  beforeAll(async () => { said = await import("../src/rest"); });

  it("tells for whom and about how long", () => {
    expect(said.sayProgress({ stage: "waiting", ahead: 2, wait_s: 6.4 }, "")).toBe("Waiting: 2 photos before yours, about 6 s");
    expect(said.sayProgress({ stage: "waiting", ahead: 1, wait_s: 0.2 }, "")).toBe("Waiting: 1 photo before yours");
    expect(said.sayProgress({ stage: "waiting", ahead: 0, wait_s: 0 }, "")).toBe("Waiting for a free processor");
    expect(said.sayProgress({ stage: "looking", ahead: 0, wait_s: 0 }, "")).toBe("Finding faces");
    expect(said.sayProgress({ stage: "completing", ahead: 0, wait_s: 0 }, "Completing with swift")).toBe("Completing with swift");
  });
  it("names slow methods' time beforehand", () => {
    const method = { name: "latent_search", ms: 9100 } as Parameters<typeof said.sayMethod>[0];
    expect(said.sayMethod(method)).toBe("Completing with latent search, about 9 s a face");
    expect(said.sayMethod({ ...method, name: "swift", ms: 41 })).toBe("Completing with swift");
  });
  it("offers its token to a WebSocket in URL-safe base64", () => {
    expect(said.protocolsOf("")).toEqual(["facefill"]);
    expect(said.protocolsOf("a>?secret")).toEqual(["facefill", "token.YT4_c2VjcmV0"]);
  });
  it("turns the server's three parts into a sentence and a way out", () => {
    const body = JSON.stringify({ error: { expected: "a photo", got: "text", fix: "give a photo" } });
    const { what, fix, status } = said.trouble(422, body);
    expect([status, what, fix]).toEqual([422, "Expected a photo, but got text.", "Give a photo."]);
    expect(said.trouble(502, "<html>").what).toBe("The server gave no sensible answer.");
  });
});
