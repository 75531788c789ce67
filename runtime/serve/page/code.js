// A block of source text with its language, a button that copies it, and colours. It grows by lines, so that a long
// answer costs no more a frame than what was added.
import {copyButton, el} from './dom.js';
import {colourLine, rulesOf} from './highlight.js';

const LONGEST_COLOURED = 2000;  // characters of a line; longer ones are data, not source

export class CodeView {
  constructor(block) {
    this.code = el('code');
    this.language = null;
    this.label = el('span', {class: 'language'});
    this.lines = [];  // texts of the lines that are in `code`
    this.states = [''];  // what is open at the begin of each line
    this.element = el('figure', {class: 'code'},
      el('figcaption', null, this.label, copyButton('Copy', () => this.lines.join('\n'))),
      el('pre', {tabindex: '0'}, this.code));
    this.update(block);
  }

  // `block`: of type 'code' (blocks.js). Lines that are as before stay as they are.
  update(block) {
    if (block.language !== this.language) {
      this.language = block.language;
      this.rules = rulesOf(block.language);
      this.label.textContent = block.language || 'text';
      this.element.querySelector('pre').setAttribute('aria-label', `${block.language || 'text'} source`);
      this.shorten(0);
    }
    let same = Math.max(0, Math.min(this.lines.length, block.lines.length) - 1);
    if (this.lines[same] === block.lines[same] && same < block.lines.length) ++same;
    this.shorten(Math.min(same, this.lines.length));
    for (const line of block.lines.slice(this.lines.length)) this.add(line);
  }

  shorten(count) {
    while (this.code.childNodes.length > count) this.code.lastChild.remove();
    this.lines.length = Math.min(this.lines.length, count);
    this.states.length = this.lines.length + 1;
  }

  add(line) {
    const rules = line.length <= LONGEST_COLOURED ? this.rules : null;
    const [tokens, open] = colourLine(line, rules, this.states[this.lines.length]);
    const parts = tokens.map(([kind, text]) => (kind ? el('span', {class: `t-${kind}`}, text) : text));
    this.code.append(el('span', {class: 'line'}, ...parts, '\n'));
    this.lines.push(line);
    this.states.push(open);
  }
}
