// The panel that shows what one answer cost and saved (savings.js has the words).
import {el, svg} from './dom.js';
import * as format from './format.js';
import {phasesOf, savingsOf} from './savings.js';

// Widths are attributes of an SVG: the page's policy has no place for inline styles.
function bar(share, className) {
  const width = Math.max(share > 0 ? 0.6 : 0, Math.min(share, 1) * 100);
  return frame(className,
    svg('rect', {class: 'track', width: 100, height: 1}),
    svg('rect', {class: 'fill', width: width.toFixed(2), height: 1}));
}

function frame(className, ...rects) {
  const about = {class: `bar ${className}`, viewBox: '0 0 100 1', preserveAspectRatio: 'none', 'aria-hidden': 'true'};
  return svg('svg', about, ...rects);
}

export function showEfficiency(element, message, model) {
  const e = message?.efficiency;
  if (!e) {
    element.replaceChildren(el('p', {class: 'hint'}, whyNot(message)));
    return;
  }
  element.replaceChildren(timeline(e), el('ul', {class: 'savings'}, ...savingsOf(e, model).map(item)));
}

function whyNot(message) {
  if (!message) return 'After an answer, this says what it cost and what was saved.';
  if (message.error) return 'There are no figures: the answer failed.';
  if (message.stopped) return 'There are no figures: the answer was stopped before its end.';
  return 'The server sent no figures for this answer.';
}

function timeline(e) {
  const phases = phasesOf(e);
  const total = phases.reduce((sum, phase) => sum + phase.seconds, 0);
  let at = 0;
  const rects = phases.map((phase) => {
    const width = total > 0 ? phase.seconds / total * 100 : 0;
    const name = `phase-${phase.name.toLowerCase()}`;
    const rect = svg('rect', {class: name, x: at.toFixed(2), width: width.toFixed(2), height: 1});
    at += width;
    return rect;
  });
  return el('div', {class: 'time'},
    el('p', {class: 'figure'}, el('strong', null, format.seconds(total)), ' in all'),
    frame('thick', ...rects),
    el('dl', {class: 'phases'}, ...phases.map((phase) => el('div', null,
      el('dt', {class: `phase-${phase.name.toLowerCase()}`}, phase.name),
      el('dd', null, el('b', null, format.seconds(phase.seconds)), el('span', null, phase.words))))));
}

function item(saving) {
  if (!saving.used) {
    return el('li', {class: 'saving unused', 'data-id': saving.id},
      el('h3', null, saving.name), el('p', null, `Not used: ${saving.text}`));
  }
  const most = Math.max(...saving.bars, 1e-300);
  return el('li', {class: 'saving', 'data-id': saving.id},
    el('h3', null, saving.name, saving.ratio === '' ? '' : el('span', {class: 'ratio'}, saving.ratio)),
    el('p', {class: 'value'}, saving.value),
    el('div', {class: 'bars'}, bar(saving.bars[0] / most, 'with'), bar(saving.bars[1] / most, 'without')),
    el('p', null, saving.text));
}
