// The block structure of Markdown: CommonMark and GFM's tables, in the part that models write. Left out: HTML (it is
// text), indented code, underlined headings, link definitions.
//
// parseBlocks(lines) gives blocks in order, each with `line`, the index of its first line:
//   {type: 'heading', level, text}   {type: 'rule'}             {type: 'code', language, lines, closed}
//   {type: 'quote', blocks}          {type: 'paragraph', text}  {type: 'table', align, head, rows}
//   {type: 'list', ordered, start, loose, items: [{task, blocks}]}     task: null, false or true
// Text that is appended later changes the last block only, or adds blocks: where all lines but the last are whole,
// that is true of the last block which begins in a whole line (markdown.js relies on it).

const DEEPEST = 12;  // quotes and lists within each other; deeper ones are paragraphs
const MOST_COLUMNS = 64;

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^([-*+]|\d{1,9}[.)])(?: +|$)/;

const isBlank = (line) => line.trim() === '';

// Columns of white space at the begin of a line.
function indentOf(line) {
  let column = 0;
  for (const c of line) {
    if (c === ' ') ++column;
    else if (c === '\t') column += 4 - column % 4;
    else break;
  }
  return column;
}

// The line without its first `columns` columns of white space.
function dedent(line, columns) {
  let column = 0;
  let at = 0;
  while (column < columns && at < line.length) {
    if (line[at] === ' ') ++column;
    else if (line[at] === '\t') column += 4 - column % 4;
    else break;
    ++at;
  }
  return ' '.repeat(Math.max(0, column - columns)) + line.slice(at);
}

function markerOf(line) {
  const indent = indentOf(line);
  const match = MARKER.exec(line.trimStart());
  if (!match || RULE.test(line)) return null;
  const ordered = match[1].length > 1;
  const rest = line.trimStart().slice(match[0].length);
  const spaces = match[0].length - match[1].length;
  // More than four spaces after the marker belong to the text.
  const width = match[1].length + (rest === '' || spaces > 4 ? 1 : spaces);
  return {
    indent, ordered, rest: rest === '' ? '' : ' '.repeat(Math.max(0, spaces - 4)) + rest,
    content: indent + width,
    kind: ordered ? match[1].slice(-1) : '-',
    start: ordered ? Number(match[1].slice(0, -1)) : 0,
  };
}

// The cells of a table's row; a '|' may be escaped, and one at either end is not a border between cells.
function cellsOf(line) {
  const cells = [];
  let cell = '';
  const text = line.trim();
  for (let i = 0; i < text.length; ++i) {
    if (text[i] === '\\' && text[i + 1] === '|') {
      cell += '|';
      ++i;
    } else if (text[i] === '|') {
      if (i > 0) cells.push(cell.trim());
      cell = '';
    } else {
      cell += text[i];
    }
  }
  if (!text.endsWith('|') || text.endsWith('\\|')) cells.push(cell.trim());
  return cells;
}

// The alignments, where `line` is the rule under a table's head of that many cells.
function alignmentsOf(head, line) {
  if (line === undefined || !head.includes('|') || !/^[\s|:-]+$/.test(line) || !line.includes('-')) return null;
  const cells = cellsOf(line);
  if (cells.length !== cellsOf(head).length || cells.length > MOST_COLUMNS) return null;
  if (!cells.every((cell) => /^:?-+:?$/.test(cell))) return null;
  return cells.map((cell) => {
    if (cell.endsWith(':')) return cell.startsWith(':') ? 'center' : 'right';
    return cell.startsWith(':') ? 'left' : '';
  });
}

// Whether a paragraph ends before this line.
function interrupts(lines, at, depth) {
  const line = lines[at];
  if (isBlank(line) || FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
  if (depth < DEEPEST) {
    if (QUOTE.test(line)) return true;
    const marker = markerOf(line);
    if (marker && marker.indent < 4 && marker.rest !== '' && (!marker.ordered || marker.start === 1)) return true;
  }
  return alignmentsOf(line, lines[at + 1]) !== null;
}

export function parseBlocks(lines, depth = 0) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      ++at;
      continue;
    }
    const [block, next] = blockAt(lines, at, depth);
    block.line = at;
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function blockAt(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return codeAt(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) {
    const text = (heading[2] || '').trim().replace(/(^|\s)#+$/, '').trimEnd();
    return [{type: 'heading', level: heading[1].length, text}, at + 1];
  }
  if (RULE.test(line)) return [{type: 'rule'}, at + 1];
  if (depth < DEEPEST) {
    if (QUOTE.test(line)) return quoteAt(lines, at, depth);
    const marker = markerOf(line);
    if (marker && marker.indent < 4) return listAt(lines, at, marker, depth);
  }
  const align = alignmentsOf(line, lines[at + 1]);
  if (align) return tableAt(lines, at, align);
  return paragraphAt(lines, at, depth);
}

function codeAt(lines, at, [, marks, info]) {
  const indent = indentOf(lines[at]);
  const code = [];
  let next = at + 1;
  let closed = false;
  for (; next < lines.length && !closed; ++next) {
    const text = lines[next].trim();
    closed = text.length >= marks.length && text[0] === marks[0] && text === marks[0].repeat(text.length) &&
             indentOf(lines[next]) < 4;
    if (!closed) code.push(dedent(lines[next], indent));
  }
  return [{type: 'code', language: info.trim().split(/[\s{,]/)[0], lines: code, closed}, next];
}

function quoteAt(lines, at, depth) {
  const inner = [];
  let next = at;
  for (; next < lines.length; ++next) {
    if (QUOTE.test(lines[next])) inner.push(lines[next].replace(QUOTE, ''));
    // A paragraph goes on without the mark.
    else if (isBlank(inner[inner.length - 1]) || interrupts(lines, next, depth)) break;
    else inner.push(lines[next]);
  }
  return [{type: 'quote', blocks: parseBlocks(inner, depth + 1)}, next];
}

function listAt(lines, at, first, depth) {
  const items = [];
  let loose = false;
  let next = at;
  for (let marker = first; marker;) {
    const inner = [marker.rest];
    let blank = marker.rest === '';
    let fenced = FENCE.test(marker.rest);
    let following = null;
    for (++next; next < lines.length; ++next) {
      const line = lines[next];
      if (isBlank(line)) {
        // An item may begin with one blank line, not more.
        if (inner.length === 1 && inner[0] === '') break;
        inner.push('');
        blank = true;
        continue;
      }
      const indent = indentOf(line);
      const nested = markerOf(line);
      // Two columns are enough for a nested list: models indent it so under "1.", too.
      const belongs = indent >= marker.content || (nested && !fenced && indent >= marker.indent + 2);
      if (!belongs) {
        if (nested && indent < 4) following = nested;
        if (fenced || blank || nested || interrupts(lines, next, depth)) break;
      }
      const text = dedent(line, marker.content);
      if (FENCE.test(text)) fenced = !fenced;
      inner.push(text);
      blank = false;
    }
    const trailing = inner.length > 1 && inner[inner.length - 1] === '';
    while (inner.length > 1 && inner[inner.length - 1] === '') inner.pop();
    items.push(itemOf(inner, depth));
    if (inner.includes('') && inner[0] !== '' && !inner.some((line) => FENCE.test(line))) loose = true;
    marker = following && following.kind === first.kind ? following : null;
    if (marker && trailing) loose = true;
  }
  return [{type: 'list', ordered: first.ordered, start: first.start, loose, items}, next];
}

function itemOf(inner, depth) {
  const box = /^\[([ xX])\] +/.exec(inner[0]);
  if (box) inner[0] = inner[0].slice(box[0].length);
  return {task: box ? box[1] !== ' ' : null, blocks: parseBlocks(inner, depth + 1)};
}

function tableAt(lines, at, align) {
  const head = cellsOf(lines[at]);
  const rows = [];
  let next = at + 2;
  for (; next < lines.length && !isBlank(lines[next]) && lines[next].includes('|'); ++next) {
    const cells = cellsOf(lines[next]).slice(0, align.length);
    while (cells.length < align.length) cells.push('');
    rows.push(cells);
  }
  return [{type: 'table', align, head, rows}, next];
}

function paragraphAt(lines, at, depth) {
  let next = at + 1;
  while (next < lines.length && !interrupts(lines, next, depth)) ++next;
  const text = lines.slice(at, next).map((line) => line.replace(/^[ \t]+/, '')).join('\n').trimEnd();
  return [{type: 'paragraph', text}, next];
}
