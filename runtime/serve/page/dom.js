// Making elements. Text only ever becomes a text node: there is no innerHTML in this page.

const SVG = 'http://www.w3.org/2000/svg';

// el('a', {class: 'x', href: '/', onclick: f, hidden: true}, 'text', node, [more], null)
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// A line drawing of 20 units a side, named by its path.
export function icon(path) {
  return svg('svg', {viewBox: '0 0 20 20', 'aria-hidden': 'true'}, svg('path', {d: path}));
}

export const ICONS = {
  copy: 'M7 7h9v9H7zM13 7V4H4v9h3',
  done: 'M4 10.5l4 4 8-9',
  again: 'M15.5 8A6 6 0 1 0 16 11M16 4v4h-4',
  edit: 'M4 16l1-4 8-8 3 3-8 8zM11.5 5.5l3 3',
  remove: 'M5 5l10 10M15 5L5 15',
};

export const byId = (id) => document.getElementById(id);

// Calls `work` at most once a frame, with what was asked last. now() does what waits at once.
export class EachFrame {
  constructor(work) {
    this.work = work;
    this.frame = 0;
  }
  ask() {
    this.frame ||= requestAnimationFrame(() => this.now());
  }
  now() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.work();
  }
  cancel() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }
}

// The clipboard's own interface exists on https and localhost only; the old way works elsewhere.
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused (no permission, no focus): the old way may still be allowed.
    }
  }
  const area = el('textarea', {class: 'offscreen', 'aria-hidden': 'true'});
  area.value = text;
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  focused?.focus?.();
  return copied;
}

// A button that copies what `text()` says and shows for a moment that it did.
export function copyButton(label, text, className = 'tool') {
  const words = el('span', null, label);
  const button = el('button', {type: 'button', class: className}, icon(ICONS.copy), words);
  button.addEventListener('click', async () => {
    const copied = await copyText(text());
    button.firstChild.replaceWith(icon(copied ? ICONS.done : ICONS.remove));
    words.textContent = copied ? 'Copied' : 'Not allowed';
    setTimeout(() => {
      button.firstChild.replaceWith(icon(ICONS.copy));
      words.textContent = label;
    }, 1600);
  });
  return button;
}
