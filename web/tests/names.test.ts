import { describe, expect, it } from "vitest";

import { nameOf, splitName } from "../src/names";

describe("downloads are called as the command calls its files", () => {
  it("keeps the photo's own suffix where it fits the result", () => {
    expect(nameOf({ stem: "IMG_1", suffix: ".JPEG" }, "image/jpeg", "", 0)).toBe("IMG_1-unmasked.JPEG");
    expect(nameOf({ stem: "IMG_1", suffix: ".heic" }, "image/jpeg", "", 0)).toBe("IMG_1-unmasked.jpg");
    expect(nameOf({ stem: "IMG_1", suffix: ".jfif" }, "image/jpeg", "", 0)).toBe("IMG_1-unmasked.jfif");
    expect(nameOf({ stem: "scan", suffix: ".tiff" }, "image/tiff", "", 0)).toBe("scan-unmasked.tiff");
  });
  it("tells several results apart", () => {
    expect(nameOf({ stem: "a", suffix: ".png" }, "image/png", "telea", 0)).toBe("a-unmasked-telea.png");
    expect(nameOf({ stem: "a", suffix: ".png" }, "image/png", "masked_gan", 3)).toBe("a-unmasked-masked_gan-3.png");
  });
  it("splits names with several dots, and without any", () => {
    expect(splitName("a.b.jpg")).toEqual(["a.b", ".jpg"]);
    expect(splitName("photo")).toEqual(["photo", ""]);
    expect(splitName(".jpg")).toEqual([".jpg", ""]);
    expect(splitName("")).toEqual(["photo", ""]);
  });
});
