import { describe, expect, it, vi } from "vitest";

vi.mock("../src/panel", () => ({ showTrouble: () => undefined }));

describe("the rate of frames", async () => {
  const { Rate } = await import("../src/live");

  it("is that of the last two seconds", () => {
    const rate = new Rate();
    expect(rate.add(0)).toBe(0);
    for (let now = 100; now < 1000; now += 100) rate.add(now);
    expect(rate.add(1000)).toBeCloseTo(10);
    expect(rate.add(5000)).toBe(0);
    expect(rate.add(5050)).toBeCloseTo(20);
  });
});

describe("a clip", async () => {
  const { clipType } = await import("../src/live");

  it("is of a kind that the browser writes", () => {
    expect(clipType(() => true)).toBe("video/webm");
    expect(clipType((type) => type === "video/mp4")).toBe("video/mp4");
    expect(clipType(() => false)).toBeNull();
  });
});
