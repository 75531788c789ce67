#!/usr/bin/env python3
"""Makes the small golden tokenizers of this folder: one a style, trained on a few texts, with what Hugging Face
tokenizers encodes and decodes with them. Needs: pip install tokenizers==0.23.3. Run here: python3 make_styles.py
The texts come from deepseek_v3/encode.jsonl, so that all styles are tried on the same strings.
"""
import json
import os
import random

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace("{1,3}", "")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?"
        r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = pre_tokenizers.ByteLevel.alphabet()
SPECIAL = ["<|begin|>", "<|end|>"]


def texts():
    with open(os.path.join(HERE, "deepseek_v3", "encode.jsonl")) as f:
        return [json.loads(line)["text"] for line in f]


def extra(rng, base):
    """Random strings over what splits words: cases, digits, spaces, marks, added tokens."""
    alphabet = ["a", "B", "'s", "'S", "'LL", "'ſ", "1", "23", "٣", "½", " ", "  ", "\n", "\r\n", "\t", "　", " ", "é",
                "e\u0301", "汉", "字", "か", "カ", "한", "ß", "İ", "ﬁ", "…", "!", "_", "-", "▁", "🙂", "👨‍👩‍👧", "\u200d", "ab", "the",
                "<|begin|>", "<|end|>", "<think>", "tool", " <mask> ", "<s>", "\u0300", "K", "𝔄", "ǅ", "ก็", "हिन्दी", "١٢",
                "\U0001171e", "\U00016d40", "\ua7cb", "\x00", "\x85"]
    out = ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 14))) for _ in range(160)]
    return out + [rng.choice(base) + rng.choice(alphabet) + rng.choice(base) for _ in range(40)]


def train(tokenizer, corpus, size, **kwargs):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False, **kwargs)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=True), AddedToken("tool", single_word=True),
                          AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False)])


def split_style(pattern, corpus, normalizer=None, ignore_merges=False, size=700):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    train(t, corpus, size, initial_alphabet=BYTES)
    return t


def llama3(corpus):
    t = split_style(LLAMA3, corpus, ignore_merges=True)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B", special_tokens=[("<|begin|>", 0)])])
    return t


def qwen(corpus):
    return split_style(QWEN, corpus, normalizers.NFC())


def kimi(corpus):
    return split_style(KIMI, corpus)


def falcon(corpus):
    """GPT-2's own pattern, a space before the text, and splits that come after the byte alphabet."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True),
        pre_tokenizers.Split("th", "merged_with_next"), pre_tokenizers.Split(Regex("[aeiou]+"), "merged_with_previous"),
        pre_tokenizers.Split(Regex("[^xyz]"), "contiguous", invert=True), pre_tokenizers.Split("q", "removed")])
    t.decoder = decoders.ByteLevel()
    train(t, corpus, 600, initial_alphabet=BYTES)
    t.post_processor = processors.TemplateProcessing(single="<|begin|> $A <|end|>",
                                                     special_tokens=[("<|begin|>", 0), ("<|end|>", 1)])
    return t


def fallback_vocab(t, keep):
    """The trained model with byte pieces and an unknown token, as a converted SentencePiece model has them."""
    model = json.loads(t.to_str())["model"]
    pieces = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    rest = [p for p in model["vocab"] if p not in pieces and p not in SPECIAL and (len(p) > 1 or keep(p))]
    vocab = {p: i for i, p in enumerate(SPECIAL + pieces + rest)}
    merges = [tuple(m) for m in model["merges"] if all(p in vocab for p in (m[0], m[1], m[0] + m[1]))]
    return vocab, merges


def sentencepiece(corpus):
    """Llama 2: spaces become U+2581 in the normalizer, no words, bytes for unknown characters."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Split(Regex("▁*[^▁]+"), "isolated")
    train(t, corpus, 900)
    vocab, merges = fallback_vocab(t, lambda p: ord(p) < 0x250 or p == "▁")
    out = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    out.normalizer = t.normalizer
    out.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    out.add_special_tokens(SPECIAL)
    out.add_tokens([AddedToken("<think>", normalized=False)])
    out.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    return out


def metaspace(corpus):
    """The later form of the same: a Metaspace pre-tokenizer and decoder; unknown characters are not fused."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    train(t, corpus, 700)
    model = json.loads(t.to_str())["model"]
    keep = SPECIAL + ["<unk>"] + [p for p in model["vocab"] if p not in SPECIAL and not any("一" <= c for c in p)]
    vocab = {p: i for i, p in enumerate(dict.fromkeys(keep))}
    merges = [tuple(m) for m in model["merges"] if all(p in vocab for p in (m[0], m[1], m[0] + m[1]))]
    out = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    out.pre_tokenizer = t.pre_tokenizer
    out.decoder = decoders.Metaspace(prepend_scheme="first")
    out.add_special_tokens(SPECIAL)
    out.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True), AddedToken("tool", single_word=True)])
    return out


def write(name, t, strings, rng):
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    t.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    with open(os.path.join(folder, "encode.jsonl"), "w") as f:
        for text in strings:
            ids, special = t.encode(text, add_special_tokens=False).ids, t.encode(text, add_special_tokens=True).ids
            line = {"text": text, "ids": ids, "decoded": t.decode(ids, skip_special_tokens=False)}
            if special != ids:
                line["ids_with_special"] = special
            skipped = t.decode(ids, skip_special_tokens=True)
            if skipped != line["decoded"]:
                line["decoded_skip_special"] = skipped
            f.write(json.dumps(line) + "\n")
    size = max(t.get_vocab(with_added_tokens=True).values()) + 1
    with open(os.path.join(folder, "decode.jsonl"), "w") as f:
        for _ in range(150):
            ids = [rng.randrange(min(size, rng.choice([270, size]))) for _ in range(rng.randint(1, 10))]
            f.write(json.dumps({"ids": ids, "decoded": t.decode(ids, skip_special_tokens=False)}) + "\n")


PATTERNS = [
    LLAMA3, KIMI, r"\p{N}{1,3}", r"a*", r"a*?b", r"(?:ab|a)(?:bc|c)?", r"(?:ab|a)*+c", r"(?>a+)ab|a", r"a{2,3}?", r"a{,2}b",
    r"(?:xy){2,}", r"x(?=y)", r"x(?!y)", r"(?i:straSe|KELVIN)", r"b(?i)x|y", r"(?i:[^s-t])+", r"[a-c&&[^b]]+", r"[xa-]+", r"[^\s\d]+", r"\w+|\W", r"\h+", r"\bx", r"\Bx", r"^.", r".$", r"\Aa|b\z|c\Z", r"\x41|\x{1F642}|\u00e9",
    r"\P{L}+", r"\p{^Lu}", r"[\p{Han}\p{Hiragana}]+", r"\p{Punct}+|\p{Alnum}+", r"\p{Letter}\p{Mark}*", r"[\-\]\\a]",
    r"x{y}", r"x{1", r"(a|b|)c", r"a|", r"[à-ü]+", r".+?b", r"a??b", r"\t|\n|\r|\f|\v|\e|\a", r"\s+$", r"(?-i:A)(?i:A(?-i:A))",
]


def write_patterns():
    """How the regex engine itself cuts texts: one line a pattern, the pieces with an isolated split."""
    rng = random.Random("patterns")
    pool = ["a", "b", "ab", "c", "x", "y", "xy", " ", "\n", "1", "23", "S", "ſ", "K", "k", "ß", "é", "e\u0301", "汉", "か", "🙂", "-",
            "]", "\\", "{", "_", "A", "İ", "\x1b", "\x85", "\u2028", "straSe", "kelvin", "\u200d"]
    with open(os.path.join(HERE, "patterns.jsonl"), "w") as f:
        for pattern in PATTERNS:
            split = pre_tokenizers.Split(Regex(pattern), "isolated")
            strings = ["".join(rng.choice(pool) for _ in range(rng.randint(1, 24))) for _ in range(40)]
            cases = [[s, [p for p, _ in split.pre_tokenize_str(s)]] for s in strings]
            f.write(json.dumps({"pattern": pattern, "cases": cases}) + "\n")


def main():
    assert tokenizers.__version__ == "0.23.3", "the goldens are those of tokenizers 0.23.3"
    base = texts()
    for make in (llama3, qwen, kimi, falcon, sentencepiece, metaspace):
        rng = random.Random(make.__name__)
        write(make.__name__, make(base), base[::3] + extra(rng, base), rng)
    write_patterns()


if __name__ == "__main__":
    main()
