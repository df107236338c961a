/** Camera, keyboard help and token. */

import { setToken } from "./rest";
import { $, button, canvas, input } from "./dom";

for (const close of document.querySelectorAll<HTMLButtonElement>("dialog .close")) {
  close.addEventListener("click", () => close.closest("dialog")?.close());
}
button("keys").addEventListener("click", () => $<HTMLDialogElement>("#key-help").showModal());

/** A photo from the camera, null where somebody thought better of it. Rejects where there is no camera. */
export async function takePhoto(): Promise<File | null> {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1440 } },
  });
  const dialog = $<HTMLDialogElement>("#camera"), video = $<HTMLVideoElement>("#camera video");
  video.srcObject = stream;
  dialog.showModal();
  const shot = new Promise<File | null>((resolve) => {
    button("shoot").onclick = () => {
      const [sheet, ink] = canvas(video.videoWidth, video.videoHeight);
      ink.drawImage(video, 0, 0);
      sheet.toBlob((blob) => {
        resolve(blob && new File([blob], "photo.png", { type: "image/png" }));
        dialog.close();
      }, "image/png");
    };
    dialog.addEventListener("close", () => setTimeout(() => resolve(null)), { once: true });
  });
  try {
    return await shot;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

/** Ask for the server's token, and keep it for this tab. */
export function askToken(): Promise<void> {
  const dialog = $<HTMLDialogElement>("#ask-token");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      setToken(input("token").value);
      resolve();
    }, { once: true });
  });
}
