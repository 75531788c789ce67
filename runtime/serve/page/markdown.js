// Markdown that is still being written, as elements. Blocks that nothing can change any more are made once; only the
// open end is made anew.
import {parseBlocks} from './blocks.js';
import {CodeView} from './code.js';
import {el} from './dom.js';
import {appendInline} from './inline.js';

export class MarkdownView {
  constructor(element) {
    this.element = element;
    this.clear();
  }

  clear() {
    this.element.replaceChildren();
    this.text = '';
    this.closed = 0;  // how much of the text is in blocks that stay
    this.open = [];   // views of the blocks after that: {type, element, update?}
  }

  // Shows `text`. Where it only grew since the last call, closed blocks are left alone.
  update(text) {
    if (text === this.text) return;
    if (!text.startsWith(this.text)) this.clear();
    this.text = text;
    const lines = text.slice(this.closed).split('\n').map((line) => line.replace(/\r$/, ''));
    const blocks = parseBlocks(lines);
    this.showOpen(blocks);
    // The last block that begins in a whole line may still change; those before it cannot (blocks.js).
    let last = blocks.length - 1;
    while (last > 0 && blocks[last].line >= lines.length - 1) --last;
    if (last <= 0) return;
    let at = this.closed;
    for (let i = 0; i < blocks[last].line; ++i) at = text.indexOf('\n', at) + 1;
    this.closed = at;
    this.open = this.open.slice(last);
  }

  showOpen(blocks) {
    blocks.forEach((block, i) => {
      const old = this.open[i];
      if (old && old.type === block.type && old.update) {
        old.update(block);
        return;
      }
      const view = viewOf(block);
      if (old) old.element.replaceWith(view.element);
      else this.element.append(view.element);
      this.open[i] = view;
    });
    for (const old of this.open.splice(blocks.length)) old.element.remove();
  }
}

function viewOf(block) {
  if (block.type !== 'code') return {type: block.type, element: elementOf(block)};
  const view = new CodeView(block);
  return {type: 'code', element: view.element, update: (next) => view.update(next)};
}

function withInline(tag, text, attributes) {
  const element = el(tag, attributes);
  appendInline(element, text);
  return element;
}

function elementOf(block) {
  switch (block.type) {
    // The page's own headings are of levels 1 and 2.
    case 'heading': return withInline(`h${Math.min(block.level + 2, 6)}`, block.text, {class: `h h-${block.level}`});
    case 'rule': return el('hr');
    case 'code': return viewOf(block).element;
    case 'quote': return el('blockquote', null, ...block.blocks.map(elementOf));
    case 'list': return listOf(block);
    case 'table': return tableOf(block);
    default: return withInline('p', block.text);
  }
}

function listOf(block) {
  const items = block.items.map((item) => {
    const children = item.blocks.map((child) => {
      if (block.loose || child.type !== 'paragraph') return elementOf(child);
      return withInline('span', child.text);
    });
    if (item.task === null) return el('li', null, ...children);
    const words = item.task ? 'done' : 'open';
    const box = el('input', {type: 'checkbox', disabled: true, checked: item.task, 'aria-label': words});
    return el('li', {class: 'task'}, box, ...children);
  });
  const start = block.ordered && block.start !== 1 ? block.start : null;
  return el(block.ordered ? 'ol' : 'ul', {start}, ...items);
}

function tableOf(block) {
  const cellOf = (tag, cell, i) => withInline(tag, cell, {class: block.align[i] || null});
  const row = (tag, cells) => el('tr', null, ...cells.map((cell, i) => cellOf(tag, cell, i)));
  return el('div', {class: 'table', tabindex: '0', role: 'group', 'aria-label': 'Table'},
    el('table', null, el('thead', null, row('th', block.head)),
      el('tbody', null, ...block.rows.map((cells) => row('td', cells)))));
}
