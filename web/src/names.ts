/** What downloads are called: as the command calls its files. */

const SUFFIXES: Record<string, string[]> = {
  "image/jpeg": [".jpg", ".jpeg", ".jpe", ".jfif"], "image/png": [".png"], "image/webp": [".webp"], "image/avif": [".avif"],
  "image/tiff": [".tif", ".tiff"], "image/bmp": [".bmp", ".dib"], "image/heic": [".heic", ".heif", ".hif"],
};

/** A file's name without its suffix, and the suffix with its dot. */
export function splitName(name: string): [stem: string, suffix: string] {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name || "photo", ""];
}

/** `<stem>-unmasked<suffix>`: the photo's own suffix wherever it stands for the result's format. method: empty where
 * one was asked. sample: 0 where one was drawn. */
export function nameOf(of: { stem: string; suffix: string }, mediaType: string, method: string, sample: number): string {
  const known = SUFFIXES[mediaType] ?? [".jpg"];
  const suffix = known.includes(of.suffix.toLowerCase()) ? of.suffix : known[0]!;
  return `${of.stem}-unmasked${method && `-${method}`}${sample ? `-${sample}` : ""}${suffix}`;
}
