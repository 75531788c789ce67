// Light colouring of source text, a line at a time: comments, strings, numbers, keywords. Not a parser; where it does
// not know a language, it leaves the text alone.

const words = (text) => new Set(text.split(' '));

const C_WORDS = words(
  'alignas alignof and as asm async auto await bool break byte case catch char class concept const consteval constexpr ' +
  'constinit continue crate debugger decltype default defer delete do double dyn else enum explicit export extends ' +
  'extern false final finally float fn for friend from func function go goto if impl implements import in inline ' +
  'instanceof int interface internal is let long loop map match mod move mut mutable namespace new nil noexcept null ' +
  'nullptr of operator or override package private protected pub public range readonly ref register requires return ' +
  'select self short signed sizeof static static_cast struct super switch template this throw throws trait true try ' +
  'type typedef typename typeof undefined union unsafe unsigned use using val var virtual void volatile when where ' +
  'while yield string number boolean any never unknown i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 usize isize');
const PYTHON_WORDS = words(
  'and as assert async await break case class continue def del elif else except False finally for from global if ' +
  'import in is lambda match None nonlocal not or pass raise return self True try while with yield');
const SHELL_WORDS = words(
  'case cd do done echo elif else esac exit export fi for function if in local read return set shift source test then ' +
  'trap unset until while');
const SQL_WORDS = words(
  'add all alter and as asc begin between by case commit constraint create cross default delete desc distinct drop ' +
  'else end exists foreign from full group having if in index inner insert into is join key left like limit not null ' +
  'offset on or order outer primary references returning right rollback select set table then transaction union ' +
  'unique update using values view when where with');
const DATA_WORDS = words('true false null yes no on off');

const C = {words: C_WORDS, line: ['//'], open: '/*', close: '*/', quotes: '"\'`'};
const SHELL = {words: SHELL_WORDS, line: ['#'], quotes: '"\''};
const PYTHON = {words: PYTHON_WORDS, line: ['#'], quotes: '"\'', triple: true};
const SQL = {words: SQL_WORDS, line: ['--'], open: '/*', close: '*/', quotes: '"\'', anyCase: true};
const DATA = {words: DATA_WORDS, line: ['#'], quotes: '"\''};
const JSON_ = {words: DATA_WORDS, line: ['//'], quotes: '"'};
const CSS = {words: words(''), line: [], open: '/*', close: '*/', quotes: '"\''};
const MARKUP = {words: words(''), line: [], open: '<!--', close: '-->', quotes: '"', tags: true};
const LUA = {words: words('and break do else elseif end false for function goto if in local nil not or repeat return then ' +
                          'true until while'), line: ['--'], quotes: '"\''};

const LANGUAGES = new Map();
for (const [rules, names] of [
  [C, 'c cc cpp c++ cxx h hpp java js javascript jsx mjs ts tsx typescript go golang rust rs cs csharp c# swift kotlin kt ' +
      'scala php dart zig objc proto glsl'],
  [SHELL, 'sh bash shell zsh console make makefile dockerfile cmake'], [PYTHON, 'py python python3 ruby rb'],
  [SQL, 'sql sqlite postgres postgresql mysql'], [DATA, 'yaml yml toml ini conf'], [JSON_, 'json json5 jsonc'],
  [CSS, 'css scss less'], [MARKUP, 'html xml svg vue'], [LUA, 'lua'],
]) {
  for (const name of names.split(' ')) LANGUAGES.set(name, rules);
}

export const rulesOf = (language) => LANGUAGES.get(language.toLowerCase()) || null;

// Tokens [kind, text] of one line: 'comment', 'string', 'number', 'keyword' or ''. `within` is what the line before
// left open: '', or the text that ends it. Gives [tokens, what this line leaves open].
export function colourLine(line, rules, within) {
  if (!rules) return [[['', line]], ''];
  const tokens = [];
  const put = (kind, text) => {
    const last = tokens[tokens.length - 1];
    if (last && last[0] === kind) last[1] += text;
    else if (text !== '') tokens.push([kind, text]);
  };
  let at = 0;
  const until = (end, kind, from) => {
    const found = line.indexOf(end, from);
    const stop = found < 0 ? line.length : found + end.length;
    put(kind, line.slice(at, stop));
    at = stop;
    return found < 0 ? end : '';
  };
  if (within) within = until(within, within === rules.close ? 'comment' : 'string', 0);
  while (at < line.length) {
    const c = line[at];
    if (rules.open && line.startsWith(rules.open, at)) {
      within = until(rules.close, 'comment', at + rules.open.length);
    } else if (rules.line.some((mark) => line.startsWith(mark, at) && startsComment(line, at, mark))) {
      put('comment', line.slice(at));
      at = line.length;
    } else if (rules.triple && /^("""|''')/.test(line.slice(at, at + 3))) {
      within = until(line.slice(at, at + 3), 'string', at + 3);
    } else if (rules.quotes.includes(c)) {
      const end = endOfString(line, at);
      put('string', line.slice(at, end));
      at = end;
    } else if (/[A-Za-z_$\u0080-\uffff]/.test(c)) {
      const word = /^[\w$\u0080-\uffff]+/.exec(line.slice(at))[0];
      const known = rules.words.has(rules.anyCase ? word.toLowerCase() : word) ||
                    (rules.tags && /<\/?$/.test(line.slice(0, at)));
      put(known ? 'keyword' : '', word);
      at += word.length;
    } else if (/[0-9]/.test(c)) {
      const number = /^(0[xXbB][\da-fA-F_]+|[\d_]+(\.\d+)?([eE][+-]?\d+)?)\w*/.exec(line.slice(at))[0];
      put('number', number);
      at += number.length;
    } else {
      put('', c);
      ++at;
    }
  }
  return [tokens, within];
}

// "#" begins a comment at a word's begin only: "$#" and "a#b" do not.
const startsComment = (line, at, mark) => mark !== '#' || at === 0 || /\s/.test(line[at - 1]);

function endOfString(line, at) {
  for (let i = at + 1; i < line.length; ++i) {
    if (line[i] === '\\') ++i;
    else if (line[i] === line[at]) return i + 1;
  }
  // An apostrophe that nothing closes is one.
  return line[at] === "'" ? at + 1 : line.length;
}
