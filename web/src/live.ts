/** The live camera: frames to the engine and back, their rate, stills and clips. Every frame is marked as invented. */

import { $, button, context, el, say } from "./dom";
import { Trouble, type Camera, type Engine, type Said } from "./engine";
import { showTrouble } from "./panel";

const AHEAD = 2; // while one frame comes back, the next is on its way
const WIDTH = 640, HEIGHT = 480;

/** Frames in the last two seconds, as a rate per second. */
export class Rate {
  private times: number[] = [];

  /** Count a frame at a time in milliseconds. */
  add(now: number): number {
    this.times.push(now);
    this.times = this.times.filter((time) => now - time <= 2000);
    const first = this.times[0]!;
    return this.times.length > 1 ? (this.times.length - 1) / (now - first) * 1000 : 0;
  }
}

/** What clips are recorded as: WebM, or MP4 where a browser writes no WebM; null where neither. */
export const clipType = (isSupported: (type: string) => boolean): string | null => ["video/webm", "video/mp4"].find(isSupported) ?? null;

/** Show the camera until somebody ends it, or it fails. */
export async function goLive(engine: Engine): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "user", width: { ideal: WIDTH }, height: { ideal: HEIGHT } },
  }).catch(() => null);
  if (!stream) {
    showTrouble(new Trouble(0, "The camera cannot be used here.", "Allow it in the browser, or choose a photo."));
    return;
  }
  const video = $<HTMLVideoElement>("#live-source"), rate = new Rate();
  showTrouble(null);
  $("#rate").textContent = "Starting …";
  $("#live-faces").textContent = "";
  document.body.dataset.mode = "live";
  video.srcObject = stream;
  await video.play();
  const sheet = $<HTMLCanvasElement>("#live-sheet"), ink = context(sheet);
  [sheet.width, sheet.height] = [video.videoWidth, video.videoHeight];
  const recorder = new Recorder(sheet);
  await new Promise<void>((resolve) => {
    let taking = false;
    const camera: Camera = engine.watch((frame, said) => {
      ink.drawImage(frame, 0, 0);
      frame.close();
      if (said.completed) mark(ink);
      tell(rate.add(performance.now()), said);
    }, (trouble) => {
      if (trouble) showTrouble(trouble);
      resolve();
    }, (what, share) => { $("#rate").textContent = share === null ? what : `${what}: ${Math.round(100 * share)} %`; });
    button("live-end").onclick = () => camera.close();
    const next = (): void => {
      if (document.body.dataset.mode !== "live") camera.close(); // a photo was dropped
      if (!stream.active || document.body.dataset.mode !== "live") return;
      video.requestVideoFrameCallback(next);
      if (taking || camera.waiting >= AHEAD) return;
      taking = true;
      void createImageBitmap(video).then((frame) => {
        taking = false;
        if (stream.active) camera.send(frame);
      });
    };
    video.requestVideoFrameCallback(next);
  });
  recorder.stop();
  for (const track of stream.getTracks()) track.stop();
  video.srcObject = null;
  if (document.body.dataset.mode === "live") document.body.dataset.mode = "empty";
}

function tell(rate: number, { faces, completed, drawn, too_covered: tooCovered }: Said): void {
  const { dataset } = $("#rate");
  dataset["frames"] = `${Number(dataset["frames"] ?? 0) + 1}`;
  dataset["drawn"] = `${Number(dataset["drawn"] ?? 0) + Number(drawn > 0)}`;
  button("still").disabled = button("record").disabled = false;
  $("#rate").textContent = rate ? `${rate.toFixed(0)} frames per second` : "";
  const left = tooCovered ? `, ${tooCovered} hidden too much` : "";
  $("#live-faces").textContent = `· ${faces} ${faces === 1 ? "face" : "faces"}, ${completed} completed${left}`;
}

function mark(ink: CanvasRenderingContext2D): void {
  const { height } = ink.canvas, size = Math.max(12, height / 30);
  ink.font = `600 ${size}px system-ui, sans-serif`;
  ink.textBaseline = "middle";
  ink.textAlign = "left";
  const wide = ink.measureText("invented").width + 1.4 * size;
  ink.fillStyle = "rgb(0 0 0 / 60%)";
  ink.beginPath();
  ink.roundRect(size * 0.6, height - 2.4 * size, wide, 1.8 * size, size * 0.9);
  ink.fill();
  ink.fillStyle = "#fff";
  ink.fillText("invented", size * 1.3, height - 1.5 * size);
}

/** Stills and clips of what is shown, offered as downloads. */
class Recorder {
  private recorder: MediaRecorder | null = null;
  private count = 0;

  constructor(private readonly sheet: HTMLCanvasElement) {
    $("#clips").replaceChildren();
    button("still").disabled = button("record").disabled = true;
    button("still").onclick = () => sheet.toBlob((blob) => { if (blob) this.offer(blob, "png"); }, "image/png");
    button("record").onclick = () => { if (this.recorder) this.stop(); else this.start(); };
  }

  stop(): void {
    this.recorder?.stop();
    this.recorder = null;
    button("record").textContent = "Record";
    button("record").setAttribute("aria-pressed", "false");
  }

  private start(): void {
    const parts: Blob[] = [], type = "MediaRecorder" in window ? clipType((each) => MediaRecorder.isTypeSupported(each)) : null;
    if (!type) {
      showTrouble(new Trouble(0, "This browser records no clips.", "Take stills, or use another browser."));
      return;
    }
    const recorder = this.recorder = new MediaRecorder(this.sheet.captureStream(), { mimeType: type });
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => this.offer(new Blob(parts, { type }), type.slice(6));
    recorder.start();
    button("record").textContent = "Stop";
    button("record").setAttribute("aria-pressed", "true");
  }

  private offer(blob: Blob, suffix: string): void {
    const name = `camera-unmasked-${++this.count}.${suffix}`;
    $("#clips").append(el("li", {}, el("a", { class: "download", href: URL.createObjectURL(blob), download: name }, name)));
    say(`${name} is ready`);
  }
}
