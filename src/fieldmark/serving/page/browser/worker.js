// The thread in which the model runs. Messages in: {call, what, given}; out: {call, result | error}.

import { InferenceSession, Tensor, env } from "./ort.wasm.bundle.min.mjs";
import { answerOf } from "./answer.js";
import { UnreadablePhoto, readPhoto } from "./photo.js";

const beside = (name) => new URL(name, import.meta.url).href;
// More threads take memory shared between them, which browsers give only to pages that are sent with
// certain headers; not every static host can send those.
env.wasm.numThreads = 1;
// What it warns of is how the model is made, and nothing that a visitor could do anything about.
env.logLevel = "error";
env.wasm.wasmPaths = { wasm: beside("ort-wasm-simd-threaded.wasm") };

let form = null;
let session = null;
let last = Promise.resolve();

const doing = { open, predict };

self.addEventListener("message", ({ data: { call, what, given } }) => {
  // One after the other: a session computes one thing at a time.
  last = last.then(async () => {
    try {
      self.postMessage({ call, result: await doing[what](given) });
    } catch (error) {
      self.postMessage({ call, error: error.message || String(error) });
    }
  });
});

async function open() {
  const response = await fetch(beside("model.json"));
  if (!response.ok) throw new Error("model.json is missing on this site. Export it again.");
  form = await response.json();
  session = await InferenceSession.create(beside("model.onnx"), {
    executionProviders: ["wasm"],
    logSeverityLevel: 3,
  });
  return {
    name: form.name,
    engine: "onnx in the browser",
    backbone: form.backbone,
    classes: form.classes,
    size_px: form.preprocess.size_px,
    orientation: form.preprocess.orientation,
    can_explain: false,
    can_show_nearest: false,
    has_unfamiliar: Boolean(form.decision.unfamiliar),
  };
}

async function predict(file) {
  const photo = await readPhoto(file, {
    reduceToPx: form.reduce_jpeg_to_px,
    turnUpright: form.preprocess.orientation === "exif",
  });
  const images = new Tensor("uint8", photo.pixels, [1, photo.height, photo.width, 3]);
  let said;
  try {
    said = await session.run({ images });
  } catch (error) {
    throw new UnreadablePhoto(
      `the model cannot take its ${photo.width} x ${photo.height} pixels here: ${error.message}`,
    );
  }
  const score = said.unfamiliarity ? said.unfamiliarity.data[0] : null;
  return answerOf(said.probabilities.data, { form, score });
}
