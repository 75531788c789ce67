// Markdown within a paragraph: emphasis, code, links, line breaks. Everything else is text, HTML above all.
import {el} from './dom.js';

const MOST_MARKS = 4000;  // of emphasis and links in one paragraph; what follows is text
const LONGEST_ADDRESS = 2048;

const ENTITIES = {'&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&nbsp;': '\u00a0'};
const DESTINATION = /\([ \n]*(<[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)(?:[ \n]+(?:"[^"]*"|'[^']*'))?[ \n]*\)/y;
const ANGLE = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const BARE = /https?:\/\/[^\s<>"'`|\u3000-\u303f\uff00-\uffef]+/y;
const SPECIAL = /[\\`*_~[\]!<&\n$h]/g;
const PUNCTUATION = /[\p{P}\p{S}]/u;
// Chinese and Japanese are written without spaces: beside their characters, any mark may open and close.
const UNSPACED = /[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef]/;

// The address, where a page may lead there: absolute, and http, https or mailto.
export function safeAddress(address) {
  if (address.length > LONGEST_ADDRESS) return null;
  try {
    const url = new URL(address);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(address, ...children) {
  return el('a', {href: address, rel: 'noopener noreferrer', target: '_blank'}, ...children);
}

// Appends `text`, read as Markdown, to `parent`.
export function appendInline(parent, text) {
  parent.append(...new Reader(text).read());
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.marks = 0;
    this.plain = '';
    this.out = [];       // strings, elements and open marks {mark, count, opens, closes}
    this.brackets = [];  // where in `out` a '[' is: {at, image, source}
  }

  read() {
    const text = this.text;
    while (this.at < text.length) {
      SPECIAL.lastIndex = this.at;
      const found = this.marks < MOST_MARKS ? SPECIAL.exec(text) : null;
      const end = found ? found.index : text.length;
      this.plain += text.slice(this.at, end);
      this.at = end;
      if (found && !this.special(text[end])) {
        this.plain += text[this.at];
        ++this.at;
      }
    }
    return this.nodes(0);
  }

  // Takes what begins here, or gives false: then the character is text.
  special(c) {
    switch (c) {
      case '\\': return this.math('\\(', '\\)') || this.math('\\[', '\\]') || this.escape();
      case '$': return this.math('$$', '$$');
      case '`': return this.code();
      case '\n': return this.lineBreak();
      case '&': return this.entity();
      case '<': return this.address(ANGLE, 1);
      case 'h': return this.bareAddress();
      case '!': return this.text[this.at + 1] === '[' && this.open(2);
      case '[': return this.open(1);
      case ']': return this.close();
      default: return this.emphasis(c);
    }
  }

  push(item, length) {
    if (this.plain !== '') this.out.push(this.plain);
    this.plain = '';
    this.out.push(item);
    this.at += length;
    ++this.marks;
    return true;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === '\n') {
      ++this.at;
      return this.push(el('br'), 1);
    }
    if (next === undefined || !/[!-/:-@[-`{-~]/.test(next)) return false;
    this.plain += next;
    this.at += 2;
    return true;
  }

  // TeX is shown as it is written, and nothing within it is a mark.
  math(open, close) {
    if (!this.text.startsWith(open, this.at)) return false;
    const end = this.text.indexOf(close, this.at + 2);
    if (end < 0 || end === this.at + 2) return false;
    const source = this.text.slice(this.at + 2, end).trim();
    return this.push(el('code', {class: 'math'}, source), end + 2 - this.at);
  }

  code() {
    const marks = /`+/y;
    marks.lastIndex = this.at;
    const open = marks.exec(this.text)[0];
    const after = this.at + open.length;
    for (let end = this.text.indexOf(open, after); end >= 0;) {
      let stop = end;
      while (this.text[stop] === '`') ++stop;
      if (stop - end === open.length) {
        let source = this.text.slice(after, end).replace(/\n/g, ' ');
        if (/^ .* $/.test(source) && source.trim() !== '') source = source.slice(1, -1);
        return this.push(el('code', null, source), stop - this.at);
      }
      end = this.text.indexOf(open, stop);
    }
    this.plain += open;
    this.at = after;
    return true;
  }

  lineBreak() {
    this.plain = this.plain.replace(/ +$/, '');
    return this.push(el('br'), 1);
  }

  entity() {
    const end = this.text.indexOf(';', this.at);
    const named = end > 0 && end - this.at < 8 ? ENTITIES[this.text.slice(this.at, end + 1)] : undefined;
    if (named === undefined) return false;
    this.plain += named;
    this.at = end + 1;
    return true;
  }

  address(pattern, group) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    const safe = match && safeAddress(match[group]);
    return Boolean(safe) && this.push(link(safe, match[group]), match[0].length);
  }

  bareAddress() {
    if (this.at > 0 && /\w/.test(this.text[this.at - 1])) return false;
    BARE.lastIndex = this.at;
    const match = BARE.exec(this.text);
    if (!match) return false;
    // A sentence's full stop, and a bracket that was opened before, are not part of it.
    let shown = match[0].replace(/[.,;:!?*_~\]]+$/, '');
    if (shown.endsWith(')') && !shown.includes('(')) shown = shown.replace(/[).,;:!?]+$/, '');
    const safe = safeAddress(shown);
    return Boolean(safe) && this.push(link(safe, shown), shown.length);
  }

  open(length) {
    const image = length === 2;
    this.push({text: image ? '![' : '['}, length);
    this.brackets.push({at: this.out.length - 1, image, source: this.at});
    return true;
  }

  close() {
    const bracket = this.brackets.pop();
    if (!bracket) return false;
    DESTINATION.lastIndex = this.at + 1;
    const match = DESTINATION.exec(this.text);
    const safe = match && safeAddress(match[1].replace(/^<|>$/g, ''));
    if (!safe) return false;
    // Images are not loaded: nothing that a model writes makes the browser fetch something.
    const label = this.text.slice(bracket.source, this.at) || safe;
    this.push('', 1 + match[0].length);
    const inner = bracket.image ? [label] : this.nodes(bracket.at + 1);
    this.out.length = bracket.at;
    this.out.push(link(safe, ...inner));
    if (!bracket.image) this.brackets = [];  // there are no links within links
    return true;
  }

  emphasis(c) {
    let count = 1;
    while (this.text[this.at + count] === c) ++count;
    const before = this.at > 0 ? this.text[this.at - 1] : ' ';
    const after = this.text[this.at + count] ?? ' ';
    const outside = (other) => /\s/.test(other) || PUNCTUATION.test(other) || UNSPACED.test(other);
    const left = !/\s/.test(after) && (!PUNCTUATION.test(after) || outside(before));
    const right = !/\s/.test(before) && (!PUNCTUATION.test(before) || outside(after));
    const opens = left && (c !== '_' || !right || PUNCTUATION.test(before));
    const closes = right && (c !== '_' || !left || PUNCTUATION.test(after));
    if (c === '~' && count !== 2) {
      this.plain += c.repeat(count);
      this.at += count;
      return true;
    }
    this.push({mark: c, count, opens, closes}, count);
    if (closes) this.match();
    return true;
  }

  // Wraps what lies between the last mark and those that it closes.
  match() {
    const closer = this.out[this.out.length - 1];
    while (closer.count > 0) {
      let from = this.out.length - 2;
      while (from >= 0 && !this.pairs(this.out[from], closer)) --from;
      if (from < 0) break;
      const opener = this.out[from];
      const length = Math.min(opener.count, closer.count, 2);
      const tag = closer.mark === '~' ? 'del' : length === 2 ? 'strong' : 'em';
      this.out.pop();
      const wrapped = el(tag, null, ...this.nodes(from + 1));
      this.out.length = from + 1;
      opener.count -= length;
      closer.count -= length;
      if (opener.count === 0) this.out.pop();
      this.out.push(wrapped, closer);
      this.brackets = this.brackets.filter((bracket) => bracket.at <= from);
    }
    if (closer.count === 0) this.out.pop();
  }

  pairs(opener, closer) {
    if (opener.mark !== closer.mark || !opener.opens || opener.count === 0) return false;
    // CommonMark's rule of three keeps "*a**b*" whole.
    const either = opener.closes || closer.opens;
    return !(either && (opener.count + closer.count) % 3 === 0 && (opener.count % 3 || closer.count % 3));
  }

  // What is in `out` from there on, as nodes; marks that found no partner are text again.
  nodes(from) {
    const nodes = this.out.slice(from).map((item) => {
      if (typeof item === 'string' || item instanceof Node) return item;
      return item.text ?? item.mark.repeat(item.count);
    });
    if (from === 0 && this.plain !== '') nodes.push(this.plain);
    return nodes.filter((node) => node !== '');
  }
}
