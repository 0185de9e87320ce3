// What a classifier's probabilities come to: the rule of `fieldmark.evaluation.answer`, and its words.

const UNLIKE = "unlike anything it was trained on";
const CLASSES_SHOWN = 5;
const DOUBTS_SHOWN = 3;

/**
 * Return the answer for a photo, in the keys of a server's `POST /predict`.
 * @param {ArrayLike<number>} probabilities of the classes, in their order
 * @param {object} given `form`: model.json; `score`: how unfamiliar the photo is, or null
 */
export function answerOf(probabilities, { form, score }) {
  const { classes, decision } = form;
  const order = Array.from(classes.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
  const threshold = decision.set_threshold;
  const isIn = (index) => index === order[0] || probabilities[index] >= threshold;
  const candidates = threshold === null ? null : order.filter(isIn).map((index) => classes[index]);
  const confidence = probabilities[order[0]];
  const abstained = decision.abstain_below === null ? null : confidence < decision.abstain_below;
  let doubt = candidates && candidates.length > 1 ? candidates : [];
  if (abstained && !doubt.length) doubt = order.slice(0, 2).map((index) => classes[index]);
  const isUnfamiliar = unfamiliar(score, decision.unfamiliar);
  return {
    predicted: classes[order[0]],
    confidence,
    top: order
      .slice(0, CLASSES_SHOWN)
      .map((index) => ({ class: classes[index], confidence: probabilities[index] })),
    set: candidates,
    abstained,
    doubt,
    unfamiliarity: score,
    is_unfamiliar: isUnfamiliar,
    words: inWords(doubt, isUnfamiliar),
    error: null,
  };
}

function unfamiliar(score, rule) {
  if (score === null || !rule || rule.threshold === null) return null;
  // A score that is no number is of a photo that the network cannot make sense of.
  return !(score <= rule.threshold);
}

function inWords(doubt, isUnfamiliar) {
  if (isUnfamiliar) return UNLIKE;
  if (!doubt.length) return "";
  const names = doubt.slice(0, DOUBTS_SHOWN);
  const more = doubt.length - DOUBTS_SHOWN;
  if (more > 0) names.push(more === 1 ? "1 other" : `${more} others`);
  return `not sure: ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}
