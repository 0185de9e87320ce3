// Photos from a camera of this device.

const QUALITY = 0.95;

/**
 * Let a button open the camera; it stays hidden where there is none, or none may be used: browsers
 * give a camera to pages by https, and to this machine's own, only.
 */
export async function startCamera({ opener, dialog, onPhoto }) {
  const devices = navigator.mediaDevices;
  if (!devices?.getUserMedia) return;
  const video = dialog.querySelector("video");
  const turn = dialog.querySelector("#turn");
  let facing = "environment";
  let stream = null;
  let numTaken = 0;

  async function show() {
    stop();
    const opened = await devices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1920 } } });
    if (!dialog.open) {
      for (const track of opened.getTracks()) track.stop();
      return;
    }
    stream = opened;
    video.srcObject = stream;
    turn.hidden = (await cameras()).length < 2;
  }

  async function cameras() {
    return (await devices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  }

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
  }

  async function take() {
    if (!video.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    numTaken += 1;
    onPhoto(new File([blob], `camera-${numTaken}.jpg`, { type: "image/jpeg" }));
    dialog.close();
  }

  async function openCamera() {
    dialog.showModal();
    try {
      await show();
    } catch (error) {
      dialog.close();
      opener.textContent = error.name === "NotAllowedError" ? "Camera not allowed" : "No camera found";
      opener.disabled = true;
    }
  }

  opener.addEventListener("click", openCamera);
  dialog.addEventListener("close", stop);
  dialog.querySelector("#take").addEventListener("click", take);
  dialog.querySelector("#close-camera").addEventListener("click", () => dialog.close());
  turn.addEventListener("click", () => {
    facing = facing === "environment" ? "user" : "environment";
    show();
  });
  opener.hidden = (await cameras()).length === 0;
}
