"""Feature by feature: each snippet is one template over CONTEXT."""

CONTEXT = {
    "s": "Hello World", "u": "Grüße, 世界 😀!", "e": "", "n": 7, "neg": -3, "f": 2.5, "z": 0, "yes": True, "no": False, "nil": None,
    "l": [3, 1, 2], "words": ["banana", "Apple", "cherry", "apple"], "empty": [], "nested": [[1, 2], [3, [4]]],
    "d": {"b": 2, "a": 1, "c": [1, "x", None, True, 1.5]}, "html": "<a href='x'>\"&\"</a>",
    "msgs": [{"role": "system", "content": "S"}, {"role": "user", "content": "U1"},
             {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": {"q": "ü", "n": [1, 2.0]}}]},
             {"role": "tool", "content": "T"}, {"role": "user", "content": "U2"}],
    "users": [{"name": "Bob", "age": 30, "ok": True}, {"name": "alice", "age": 25, "ok": False, "x": {"y": 5}}, {"name": "Carol", "age": 30}],
    "keys": {"items": 1, "keys": 2, "get": 3, "pop": 4, "append": 5},
    "floats": [1.0, 0.1, 1e16, 1e15, 1.5e-5, 0.0001, 123456789.123, -0.0, 1e300, 3.14159],
    "big": {str(i): i for i in range(20)},
    "multi": "line1\n\nline2\r\nline3\tx", "quote": "it's", "both": "it's \"q\"", "ctrl": "a\x01\x7f\x85\u200b\u3000b",
}

EXPRESSIONS = r"""
s
1 + 2 * 3 - 4
7 / 2
-7 // 2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
-n
+n
1.5 + 1
1e3
1_000 + 0x1F + 0b101 + 0o17
0.1 + 0.2
10 / 2
1 / 3
n // z
n / z
n % z
f // 0
9223372036854775807 - 1
true + true
s ~ n ~ f ~ yes ~ nil ~ l ~ d
'a' 'b' "c"
'a' + 'b'
'a' + 1
'ab' * 3
3 * 'ab'
'ab' * -1
[1, 2] * 2
[1] + [2]
(1, 2) + (3,)
[1] + (2,)
(1,)
()
[]
{}
{'a': 1, 'b': [1, 2], 3: none, 1.0: true, true: 'x'}
{'a': 1, 'a': 2}
[1, 'x', "it's", 'say "hi"', both, none, true, 1.0, [u], ctrl]
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
'1' == 1
[1, 2] == [1, 2]
[1, 2] < [1, 3]
(1, 2) < (1, 2, 3)
'a' < 'b'
'a' < 1
none < 1
none == none
d == {'a': 1, 'b': 2, 'c': d.c}
1 != 2
1 in l
9 not in l
'ell' in s
'' in s
1 in s
'a' in d
'zz' not in d
[1] in d
1 in 5
none in [none]
not yes
not not e
yes and n
no and n
e or 'default'
n or 'x'
no or none
not yes or yes
1 if yes else 2
1 if no
'a' if no else 'b' if yes else 'c'
(1 if no) is defined
s[0]
s[-1]
s[99]
s[0:5]
s[:-3]
s[::2]
s[::-1]
s[-5:]
s[8:2]
s[8:2:-2]
u[0:2]
u[7]
u[-2]
u[::-1]
u|length
s[1:none]
s['a':]
s[::0]
l[::-1]
l[1:]
l[5]
l[-1]
l['0']
l.0
nested[1][1][0]
nested[1:][0]
d.a
d['b']
d.missing
d.missing.more
d['missing']['more']
d.c[3]
d[1:2]
n[0]
n.x
nil.x
nil['x']
missing
missing.x
missing['x']
missing()
missing + 1
missing ~ 'x'
missing == missing2
missing == none
missing < 1
missing and 1
missing or 'm'
not missing
missing in [1]
'x' in missing
-missing
missing is defined
missing|length
missing|list
missing|join
missing|string
missing|upper
missing|tojson
missing|int
missing|first is undefined
[missing]
keys.items is callable
keys['items']
keys.pop
keys['pop']
keys.append
keys.get('items')
keys.nothing is defined
l.append
l.append(4)
d.update({'z': 1})
s.__class__
s.__class__.__mro__
d.__len__
l.index(2)
l.index(9)
l.count(3)
(1, 2, 1).count(1)
d.get('a')
d.get('zz')
d.get('zz', 9)
d.get(default=1)
d.items()|list
d.keys()|list
d.values()|list
d.items()
d.keys()
d.values()
d.items()|length
d|items|list
missing|items|list
d|list
d|first
d|last
d|length
d|string
d|join(',')
s|upper
s|lower
u|upper
u|lower
'ß'|upper
'ŉ'|capitalize
'ΟΔΟΣ ΑΣ'|lower
'ǆabc'|capitalize
'hELLO wORLD-foo (bar) it\'s'|title
'hELLO wORLD-foo it\'s'.title()
'hello WORLD'|capitalize
'aBc'.swapcase()
'Straße'.casefold()
'  x '|trim
'xxaxx'|trim('x')
'\u3000 a\u00a0'|trim ~ '|'
nil|trim
5|trim
'  x '.strip() ~ '|'
'  x '.lstrip() ~ '|'
'  x '.rstrip() ~ '|'
'xyxaxy'.strip('xy')
'üaü'.lstrip('ü')
'\n\nthink\n'.strip('\n')
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a b  c '.split()
' a b  c '.split(none, 1)
' a b  c '.rsplit(none, 1)
'a,b,c'.rsplit(',', 1)
'aaa'.rsplit('aa')
'aaa'.rsplit('aa', 1)
'abc'.split('')
''.split()
''.split(',')
'</think>x</think>y'.split('</think>')[-1]
'a<think>b</think>c'.split('</think>')[0].split('<think>')[-1]
multi.splitlines()
multi.splitlines(true)
'a.b.c'.partition('.')
'a.b.c'.rpartition('.')
'abc'.partition('x')
'abc'.rpartition('x')
s.startswith('Hell')
s.startswith(('x', 'He'))
s.startswith('World', 6)
s.startswith(1)
s.endswith('ld')
s.endswith('')
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
s.rfind('o', 0, 6)
u.find('世')
s.index('W')
s.index('zz')
s.rindex('l')
s.count('l')
s.count('')
'aaaa'.count('aa')
s.count('o', 5)
s.replace('o', '0')
s.replace('o', '0', 1)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
'ü世'.replace('', '-')
s.replace(1, 2)
s|replace('o', 0)
s|replace('l', 'L', 2)
5|replace(5, 6)
', '.join(['a', 'b'])
', '.join([1])
'-'.join('abc')
'abc'.center(10) ~ '|'
'abc'.center(10, '*')
'abcd'.center(9, '*')
'abc'.ljust(6, '.')
'abc'.rjust(6, '.')
'-42'.zfill(6)
'abc'.center(2)
'pre-fix'.removeprefix('pre-')
'pre-fix'.removesuffix('fix')
'x'.removeprefix('y')
'12'.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
''.isdigit()
'aB1'.isalnum()
'äB'.isalpha()
' \t'.isspace()
'Ab Cd'.istitle()
'AB1'.isupper()
'ab1'.islower()
'a1'.isidentifier()
'1a'.isidentifier()
'é'.isascii()
'{} {}'.format(1, 'x')
'{1} {0}'.format(1, 'x')
'{a}-{b!r}'.format(a=1, b='x')
'{0[a]} {0.b}'.format({'a': 1, 'b': 2})
'{:>6}|{:<6}|{:^7}|{:*^7}'.format('ab', 'cd', 'ef', 'gh')
'{:5d}|{:<5d}|{:05d}|{:+d}|{:,}'.format(42, 42, 42, 42, 1234567)
'{:.2f}|{:8.3f}|{:e}|{:g}|{:%}|{:.1%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25, 0.256)
'{:x}|{:#x}|{:o}|{:b}|{:X}'.format(255, 255, 8, 5, 255)
'{{}} {}'.format(1)
'{} {}'.format(1)
'{'.format(1)
'{:{}}|'.format('a', 5)
'{0.__class__}'.format(1)
'%s and %d' % ('a', 5)
'%s' % 'x'
'%s' % [1, 2]
'%s' % (1, 2)
'%5.2f|%-5d|%05d|%x|%%' % (3.14159, 4, 42, 255)
'%(a)s' % {'a': 1}
'%(a)s' % {'b': 1}
'%r' % 'x'
'%d' % 'x'
'%d' % 3.9
'%c' % 65
'%s %s'|format('a', 'b')
'%(x)s'|format(x=3)
'%s'|format
'%+d % d %i' % (5, 5, 5)
'%e %g %G' % (12345.6789, 0.00001, 1e20)
'%.3s|' % 'abcdef'
'%*d' % (5, 42)
l|length
l|count
5|length
l|first
l|last
empty|first
empty|last
s|first
s|last
l|join
l|join(', ')
users|join(', ', attribute='name')
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
users|sort(attribute='age')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|join(' ')
users|sort(attribute='age', reverse=true)|map(attribute='name')|list
[1, 'a']|sort
words|unique|list
words|unique(true)|list
[1, 1.0, true, 2]|unique|list
l|reverse|list
s|reverse
(l|reverse)|first
l|map('string')|list
words|map('upper')|join(' ')
words|map('replace', 'a', 'A')|list
words|map('nofilter')|list
users|map(attribute='x.y')|list
users|map(attribute='x.y', default=0)|list
users|map(attribute='missing')|list
nested|map('first')|list
nested|map(attribute=0)|list
nested|map(attribute='0')|list
l|map|list
empty|map('nofilter')|list
l|select('odd')|list
l|reject('odd')|list
l|select('gt', 1)|list
l|select('in', [1, 2])|list
[0, 1, '', 'a']|select|list
[0, 1, '', 'a']|reject|list
users|selectattr('ok')|map(attribute='name')|list
users|rejectattr('ok')|map(attribute='name')|list
users|selectattr('age', 'equalto', 30)|list|length
users|selectattr('age', '==', 30)|map(attribute='name')|first
users|selectattr('ok', 'defined')|list|length
users|selectattr('x.y', 'eq', 5)|map(attribute='name')|list
users|selectattr|list
l|select('notest')|list
l|select('odd')|length
l|sum
users|sum(attribute='age')
users|sum('age', 100)
empty|sum
words|sum
l|min
l|max
words|min
words|max
empty|max
users|max(attribute='age')
[1, 'a']|max
missing|default('x')
missing|d('x')
missing|default
e|default('x')
e|default('x', true)
nil|default('x')
nil|default('x', boolean=true)
missing.x|default('y')
'42'|int
' 42 '|int
'4_2'|int
'x'|int
'x'|int(5)
'x'|int(default=7)
'3.9'|int
3.9|int
-3.9|int
'ff'|int(0, 16)
'0xff'|int(base=16)
nil|int
yes|int
l|int
'1e3'|int
'2.5'|float
'x'|float
'x'|float(1.5)
n|float
'inf'|float
'nan'|float
nil|float
-5|abs
neg|abs
-2.5|abs
's'|abs
2.5|round
3.5|round
-2.5|round
2.675|round(2)
42|round
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
1234|round(-2)
1250|round(-2)
1234.5|round(-2)
2.4|round(method='ceil')
1|round(method='x')
'abc'|list
d|dictsort
d|dictsort(reverse=true)
{'b': 1, 'A': 2, 'a': 0}|dictsort
{'b': 1, 'A': 2}|dictsort(true)
{'b': 1, 'A': 2}|dictsort(by='value')
{'b': 1, 'A': 2}|dictsort(by='zzz')
[1, 2, 3, 4, 5]|batch(2)|list
[1, 2, 3, 4, 5]|batch(2, 'x')|list
[1, 2, 3, 4, 5]|slice(2)|list
[1, 2, 3, 4, 5]|slice(3, 'x')|list
'one two, three_four!'|wordcount
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(11, false, '...', 0)
'foo bar baz qux'|truncate(9, end='!')
'x'|center(5) ~ '|'
multi|indent
multi|indent(2)
multi|indent(2, true)
multi|indent('> ', first=true, blank=true)
5|indent
html|e
html|escape
html|e|e
html|forceescape
html|safe
html|safe|e
'<' ~ ('<'|e)
'<' + ('<'|e)
('<'|e) + '<'
('<'|e) * 2
'a b/c?d=ü&e'|urlencode
{'a b': 'c/d', 'e': 1}|urlencode
d|tojson
d|tojson(indent=2)
d|tojson(indent=0)
d|tojson(indent='--')
d|tojson(separators=(',', ':'))
d|tojson(sort_keys=true)
d|tojson(indent=4, sort_keys=true)
u|tojson
u|tojson(ensure_ascii=true)
ctrl|tojson
html|tojson
both|tojson
multi|tojson
floats|tojson
floats
[1e400, -1e400]|tojson
[1e400]
(1, 2)|tojson
{1: 2, none: 3, true: 4, 2.5: 6}|tojson
{(1, 2): 3}|tojson
range(3)|tojson
[missing]|tojson
[]|tojson(indent=2)
{}|tojson(indent=2)
{'a': [], 'b': {}}|tojson(indent=2)
nil|tojson
msgs|tojson
msgs[2].tool_calls[0].arguments|tojson
big['13'] + big|length
range(5)|list
range(1, 6, 2)|list
range(5, 0, -2)|list
range(3)
range(1, 10, 3)
range(0)|length
range(10)[2]
range(10)[-1]
range(10)[2:5]
range(10)[::-3]|list
3 in range(5)
7 in range(0, 10, 2)
range(1000000)
range(0, 5, 0)
range('x')
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1), ('b', 2)])
dict([(1, 2, 3)])
namespace(a=1).a
namespace(a=1).b is defined
namespace({'x': 2}).x
n is number
f is number
yes is number
n is integer
yes is integer
f is float
yes is boolean
s is string
l is string
d is mapping
l is sequence
s is sequence
d is sequence
n is sequence
l is iterable
s is iterable
n is iterable
nil is none
nil is not none
missing is none
s is defined
missing is undefined
missing is not defined
yes is true
n is true
no is false
z is false
n is odd
n is even
n is divisibleby 7
n is divisibleby(2)
n is divisibleby 0
s is odd
range is callable
s.upper is callable
s is callable
'abc' is lower
'ABC' is upper
'aB' is lower
n is eq 7
n is equalto(7)
n is ne 7
n is lt 8
n is le 7
n is gt 8
n is ge 7
n is sameas 7
nil is sameas none
yes is sameas true
1 is sameas true
n is in [7]
n is not in [1]
'x' is in 'xyz'
'upper' is filter
'nope' is filter
'odd' is test
html|e is escaped
s is nosuchtest
s|nosuchfilter
s is defined and n is odd
s is string if n is odd else 'x'
not missing is defined
missing is defined or s
yes is boolean is boolean
l is mapping or d is mapping
raise_exception('bad role')
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y %H:%M:%S %A %B %j')
'a\tb\nc\\d\'e\"f\x41\u00e9\U0001F600\101\q'
'\é'
"\u12"
'line \
joined'
users[0].name
users|length - 1
users[users|length - 1].name
(users|last).name
[1, 2][0] + [3][0]
d.c|length
(d.c)|last
f|string|length
'%.2f'|format(f)
l|attr('count') is callable
d|attr('a')|default('none')
1.0
100000000000000000.0
1.0e-7
-0.0
123456.789e3
1 == 1 == true
'a' in 'abc' in ['abc']
'x' is defined == true
[] is sequence and [] is iterable
(1, 2)[0]
{'a': {'b': {'c': 1}}}.a.b.c
"a" "b" ~ 'c'
1 ~ 2 + 3
'a' ~ 'b' * 2
l[0] if l else 'none'
[l, d][1].a
s.upper().lower()|capitalize
s|replace('Hello', 'Bye')|upper|length
(s|length) > 5 and not (s|length > 20)
s.nosuch
s.nosuch()
undefined
undefined is defined
none
None
True and False
loop
loop is defined
"{{ not jinja }}"
'}}'
'%}'
1 if
1 +
[1, 2
{'a' 1}
f(a=1, 2)
a b
'unterminated
1..2
|upper
s|
1 ? 2
s.1a
5 is
__import__('os')
namespace is defined
caller is defined
""".strip("\n")

# Raw templates: statements and whitespace.
TEMPLATES = {
    "plain": "just text\n",
    "trailing newlines": "a\n\n",
    "crlf": "a\r\nb\rc\n{% if yes %}\r\nx\r\n{% endif %}\r\n",
    "comment": "a{# c #}b{#- d -#} c {# e\nf #}\ng",
    "comment trim": "a\n  {# c #}\nb\n  {#+ c +#}\nd",
    "unclosed comment": "a {# b",
    "unclosed block": "{% if yes %}",
    "unclosed print": "a {{ s",
    "stray end": "{% endif %}",
    "stray braces": "a } b }} c %} d { e {x}",
    "trim and lstrip": "  {% if yes %}\n    x\n  {% endif %}\n  y\n",
    "no lstrip": "  {%+ if yes %}\n    x\n  {%+ endif +%}\n  y\n",
    "minus": "a  \n {%- if yes -%} \n b \n {%- endif -%} \n c",
    "print minus": "a  {{- s -}}  b\n  {{ s }}\n  {{- s }}\n{{ s -}}\n\n  c",
    "inline tag keeps": "a {% if yes %} b {% endif %} c",
    "tag after print": "{{ s }}  {% if yes %}x{% endif %}",
    "tag after tag": "{% if yes %}  {% if yes %}\n x{% endif %}  {% endif %}\n",
    "lstrip unicode space": "a\n\u3000\u00a0{% if yes %}x{% endif %}",
    "minus unicode space": "a\u3000{%- if yes -%}\u3000x{% endif %}",
    "raw": "{% raw %}{{ s }} {% if %}{% endraw %}!",
    "raw trims": "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "raw minus": "a {%- raw -%}  {{ x }}  {%- endraw -%}  b",
    "raw plus": "a\n  {%+ raw %} {{ x }} {%+ endraw +%}\n b",
    "raw unclosed": "{% raw %} x",
    "raw nested words": "{% raw %}{% endrawx %}{%endraw%}",
    "if chain": "{% if no %}a{% elif z %}b{% elif yes %}c{% else %}d{% endif %}",
    "if else": "{% if no %}a{% else %}d{% endif %}",
    "if colon": "{% if yes: %}a{% endif %}",
    "if cond expr": "{% if 1 if yes else 0 %}a{% endif %}",
    "for": "{% for x in l %}{{ x }},{% endfor %}",
    "for else": "{% for x in empty %}{{ x }}{% else %}none{% endfor %}",
    "for else not": "{% for x in l %}{{ x }}{% else %}none{% endfor %}",
    "for string": "{% for c in u %}[{{ c }}]{% endfor %}",
    "for dict": "{% for k in d %}{{ k }}{% endfor %}",
    "for items": "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "for items filter": "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "for dictsort": "{% for k, v in d|dictsort %}{{ loop.index }}{{ k }}={{ v }}{{ ', ' if not loop.last }}{% endfor %}",
    "for tuple parens": "{% for (a, (b, c)) in [(1, (2, 3)), [4, 'xy']] %}{{ a }}{{ b }}{{ c }};{% endfor %}",
    "for unpack error": "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}",
    "for unpack none": "{% for a, b in [none] %}{{ a }}{% endfor %}",
    "for none": "{% for a in nil %}{% endfor %}",
    "for int": "{% for a in n %}{% endfor %}",
    "for undefined": "{% for a in missing %}{% else %}E{% endfor %}",
    "for if": "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}",
    "for if else": "{% for x in l if x > 9 %}x{% else %}none{% endfor %}",
    "for if lazy": "{% set ns = namespace(k=0) %}{% for x in [1, 2, 3, 4] if x > ns.k %}{{ x }}{% set ns.k = x + 1 %}{% endfor %}",
    "for if lazy last": "{% set ns = namespace(k=0) %}{% for x in [1, 2, 3, 4] if x > ns.k %}{{ x }}{{ loop.last }}{% set ns.k = x + 1 %}{% endfor %}",
    "for tuple literal": "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "loop vars": "{% for x in words %}{{ loop.index }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.length }} {{ loop.previtem }} {{ loop.nextitem }} {{ loop.depth }} {{ loop.depth0 }}|{% endfor %}",
    "loop cycle": "{% for x in words %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "loop changed": "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "loop previtem undefined": "{% for x in l %}{% if loop.previtem is defined %}{{ loop.previtem }}{% else %}-{% endif %}{% endfor %}",
    "loop unknown": "{% for x in l %}{{ loop.nope }}|{% endfor %}",
    "loop outer": "{% for x in l %}{% set outer = loop %}{% for y in words %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "loop after": "{% for x in l %}{% endfor %}{{ loop is defined }}",
    "recursive": "{% for x in nested recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "recursive not": "{% for x in nested %}{{ loop(x) }}{% endfor %}",
    "break": "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}",
    "continue": "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "break nested": "{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endfor %}-{% endfor %}",
    "break outside": "{% break %}",
    "break in macro": "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "set": "{% set a = 1 %}{% set b, c = 2, 3 %}{{ a }}{{ b }}{{ c }}",
    "set tuple": "{% set a = 1, 2 %}{{ a }}",
    "set scope for": "{% set a = 1 %}{% for x in l %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }}",
    "set scope if": "{% set a = 1 %}{% if yes %}{% set a = 2 %}{% endif %}{{ a }}",
    "set new in for": "{% for x in l %}{% set q = x %}{% endfor %}{{ q is defined }}",
    "set block": "{% set a %}x{{ s }}y{% endset %}[{{ a }}]{{ a|length }}",
    "set block filter": "{% set a | upper | replace('X', '-') %}x{{ s }}y{% endset %}[{{ a }}]",
    "set block inner": "{% set a %}{% set b = 1 %}{{ b }}{% endset %}{{ a }}{{ b is defined }}",
    "set overrides context": "{% set s = 'x' %}{{ s }}",
    "set const": "{% set true = 1 %}",
    "set unpack few": "{% set a, b = [1] %}",
    "set attr non-namespace": "{% set d.a = 1 %}",
    "set attr undefined": "{% set q.a = 1 %}",
    "namespace": "{% set ns = namespace(x=1, y='a') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns['x'] }}",
    "namespace new attr": "{% set ns = namespace() %}{% set ns.q = 5 %}{{ ns.q }}{{ ns.r is defined }}",
    "namespace set tuple": "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}",
    "namespace set block": "{% set ns = namespace() %}{% set ns.a %}x{{ n }}{% endset %}{{ ns.a }}",
    "namespace repr": "{% set ns = namespace(a=1, b='x') %}{{ ns }}",
    "namespace in loop if": "{% set ns = namespace(found=false) %}{% for m in msgs %}{% if m.role == 'tool' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}",
    "macro": "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(c=5, a=4) }}{{ m() }}",
    "macro default refers": "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}",
    "macro too many": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "macro unknown kw": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, q=2) }}",
    "macro twice": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "macro varargs": "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "macro star": "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}",
    "macro recursion": "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "macro nested": "{% macro o(x) %}{% macro i(y) %}<{{ x }}{{ y }}>{% endmacro %}{{ i(1) }}{{ i(2) }}{% endmacro %}{{ o('a') }}",
    "macro sees globals": "{% macro m() %}{{ s }}{{ late }}{% endmacro %}{% set late = 'L' %}{{ m() }}",
    "macro own scope": "{% macro m() %}{% set q = 1 %}{{ q }}{% endmacro %}{{ m() }}{{ q is defined }}",
    "macro no loop": "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "macro name": "{% macro m() %}{% endmacro %}{{ m.name }}",
    "macro trim": "{% macro m() %}\n  x\n{% endmacro %}[{{ m() }}][{{ m()|trim }}]",
    "macro caller": "{% macro m(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call m('b') %}in {{ n }}{% endcall %}",
    "macro caller args": "{% macro m() %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) m() %}[{{ x }}]{% endcall %}",
    "macro no caller": "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "macro no caller taken": "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "macro default order": "{% macro m(a=1, b) %}{% endmacro %}",
    "macro in macro arg": "{% macro a(x) %}({{ x }}){% endmacro %}{% macro b(x) %}[{{ x }}]{% endmacro %}{{ a(b(1)) }}",
    "macro shadow": "{% macro m(s) %}{{ s }}{% endmacro %}{{ m('in') }}{{ s }}",
    "macro returns markup free": "{% macro m() %}<b>{% endmacro %}{{ m() ~ '<' }}{{ m()|length }}",
    "call non call": "{% call s %}{% endcall %}",
    "filter block": "{% filter upper %}a{{ s }}{% endfilter %}",
    "filter block chain": "{% filter replace('a', 'b')|upper %}aaa{% endfilter %}",
    "with": "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "with outer": "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "with empty": "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "print": "{% print s, n %}",
    "generation": "a{% generation %}b{{ s }}{% endgeneration %}c",
    "generation scope": "{% for m in msgs %}{% generation %}{% set q = loop.index %}{{ q }}{% endgeneration %}{{ q is defined }}{% endfor %}",
    "generation whitespace": "a\n  {% generation %}\n  b\n  {% endgeneration %}\nc",
    "generation break": "{% for x in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "unknown tag": "{% foo %}",
    "tag not name": "{% 1 %}",
    "raise in branch": "{% if msgs[0].role != 'user' %}{{ raise_exception('must be user') }}{% endif %}",
    "raise not reached": "{% if no %}{{ raise_exception('x') }}{% endif %}ok",
    "multi line tag": "{%\n  if\n yes\n%}x{%\nendif\n%}",
    "dict multi line": "{{ {\n 'a': 1,\n 'b': [1,\n 2,],\n}.a }}",
    "braces in print": "{{ {'a': {'b': 1}} }}",
    "iterator consumed": "{% set it = l|map('string') %}{{ it|join }}|{{ it|join }}|{{ it is iterable }}{{ it is sequence }}",
    "iterator first": "{% set it = l|select %}{{ it|first }}{{ it|first }}{{ it|list }}",
    "iterator index": "{{ (l|map('string'))[0] is defined }}",
    "iterator truth": "{{ 'y' if empty|select else 'n' }}",
    "selectattr loop": "{% for m in msgs|selectattr('role', 'equalto', 'user') %}{{ loop.index }}{{ loop.last }}{{ m.content }} {% endfor %}",
    "rejectattr loop": "{% for m in msgs|rejectattr('role', 'in', ['user', 'system']) %}{{ m.role }} {% endfor %}",
    "reverse loop": "{% for m in msgs[::-1] %}{{ (msgs|length - 1) - loop.index0 }}{{ m.role[0] }} {% endfor %}",
    "reverse filter loop": "{% for m in msgs|reverse %}{{ m.role }} {% endfor %}",
    "slice loop": "{% for m in msgs[1:] %}{{ m.role }} {% endfor %}",
    "set messages": "{% if msgs[0]['role'] == 'system' %}{% set sys = msgs[0]['content'] %}{% set msgs = msgs[1:] %}{% endif %}{{ sys }}{{ msgs|length }}",
    "range loop": "{% for i in range(msgs|length - 1, -1, -1) %}{{ i }}{% endfor %}",
    "tool args string": "{% for t in msgs[2].tool_calls %}{{ t.arguments if t.arguments is string else t.arguments|tojson }}{% endfor %}",
    "tool args items": "{% for t in msgs[2].tool_calls %}{% for k, v in t.arguments|items %}{{ k }}: {{ v|tojson if v is not string else v }};{% endfor %}{% endfor %}",
    "not in str": "{{ '</think>' not in msgs[1].content }}",
    "none content": "{{ msgs[2].content }}{{ msgs[2].content is none }}{{ msgs[2]['content'] or '' }}",
    "none concat": "{{ 'a' + msgs[2].content }}",
    "content length": "{{ msgs[2].content|length }}",
    "in key": "{{ 'tool_calls' in msgs[2] and 'tool_calls' not in msgs[1] }}",
    "attribute defined": "{{ msgs[2].tool_calls is defined and msgs[1].tool_calls is not defined }}",
    "deep undefined": "{{ msgs[1].tool_calls[0].name }}",
    "scope if in for": "{% for x in l %}{% if loop.first %}{% set f = 'F' %}{% else %}{% set f = 'N' %}{% endif %}{{ f }}{% endfor %}",
    "lstrip after block end": "{% for x in l %}\n  {{ x }}\n  {% endfor %}\nend",
    "text with tabs": "\t{% if yes %}\n\tx\n\t{% endif %}\n",
    "if minus plus": "a\n{%- if yes +%}\n b\n{%- endif +%}\n c",
    "empty": "",
    "only newline": "\n",
    "only tag": "{% if yes %}{% endif %}\n",
    "block name": "{{ block is defined }}",
    "unicode name": "{% set größe = 3 %}{{ größe }}",
    "include": "{% include 'x' %}",
    "extends": "{% extends 'x' %}",
    "import": "{% import 'x' as y %}",
    "dollar name": "{{ $x }}",
    "nested quotes": "{{ \"it's\" }}{{ 'say \"x\"' }}",
    "comment in raw": "{% raw %}{# x #}{% endraw %}",
    "string with newline": "{{ 'a\nb' }}",
    "trim_blocks print": "{{ s }}\n{{ n }}\n",
    "lstrip two tags": "x\n  {% if yes %}  {% if no %}{% endif %}{% endif %}\ny",
    "kwargs dup": "{{ dict(a=1, a=2) }}",
    "join generator": "{{ (msgs|map(attribute='role'))|join('>') }}",
    "sum lengths": "{{ msgs|map(attribute='role')|map('length')|sum }}",
    "undefined in test list": "{{ users|map(attribute='ok')|select('defined')|list }}",
    "int loop str": "{% for i in '123' %}{{ i|int + 1 }}{% endfor %}",
    "assign from cond": "{% set x = 'a' if no else none %}{{ x }}{% set y = d.zz or 'def' %}{{ y }}",
    "compare none": "{{ nil == none }}{{ nil != none }}{{ d.zz == none }}{{ d.zz is none }}",
    "print bool ops": "{{ (1 and 'x') }}{{ (0 or []) }}{{ ([] and 1) }}",
}


def snippet_cases():
    cases = []
    for line in EXPRESSIONS.replace("\\\njoined", "\\\x00joined").split("\n"):
        line = line.replace("\x00", "\n")
        cases.append((line, "{{ " + line + " }}", "snippets"))
    for name, template in TEMPLATES.items():
        cases.append((name, template, "snippets"))
    return {"snippets": CONTEXT}, cases
