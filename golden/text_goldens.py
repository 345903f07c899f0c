"""Token ids that crates/text must reproduce, from the Python packages `tokenizers` and `transformers`.

Trains tiny tokenizers on the text below, writes their files and the expected ids under crates/text/tests/data/.
Training is not reproducible to the byte, so a new run replaces the vocabularies and the ids together.
For the real roberta-base vocabulary (../shared, or SERIN_SHARED) only the expected ids are written.

    python golden/text_goldens.py
"""

import json
import os
import random
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, ByteLevelBPETokenizer, BertWordPieceTokenizer
from transformers import (
    BertTokenizer,
    CamembertTokenizer,
    DistilBertTokenizer,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "crates" / "text" / "tests" / "data"
SHARED = Path(os.environ.get("SERIN_SHARED", ROOT.parent / "shared"))

CORPUS = [
    "The film was a quiet surprise, and nobody in the room wanted it to end.",
    "I can't say that I've seen a worse one; they're all the same, aren't they?",
    "She'll watch it again in 2024, he'd rather not: 3 out of 10, maybe 4.",
    "@user thanks for the tickets! http we loved every minute of it 😂😂 #movies",
    "Ein Film über Straßen, Züge und müde Leute. Très déçu, café fermé, naïve fin.",
    "Это был хороший фильм, но слишком длинный. Мне понравилось.",
    "これは映画です。とても面白かった。東京で見ました。",
    "这部电影很好看，我喜欢。 电影院里没有人。",
    "كان الفيلم جميلا جدا ولكن طويل. שלום עולם, זה סרט טוב.",
    "영화가 정말 재미있었어요. 다시 보고 싶어요.",
    "A slow, gentle, funny, sad, brilliant, boring, terrible, wonderful story told twice.",
    "watching watched watcher watches unwatchable rewatch the the the and and of of to to",
]

TEXTS = [
    "",
    " ",
    "   ",
    "Hello",
    " Hello",
    "Hello world",
    "  Hello   world  ",
    "the film's  's  'll they   're we  've I'm  'd can't  't",
    "It's  'S don't DON'T  'T",
    "a\tb\nc\r\nd\u000be\u000cf",
    "\n\n\n",
    "non\u00a0breaking\u00a0 space \u00a0\u00a0 x",
    "zero\u200bwidth\u200djoiner\u200cnon\ufeffbom\u2060word",
    "soft\u00adhyphen and \u2028 line \u2029 separators \u3000 wide",
    "control\u0000chars\u0001\u0007\u001b[0m\u007f\u0085\u009f",
    "😂",
    "I love it 😂😂😂!!!",
    "family 👨‍👩‍👧‍👦 and flag 🏳️‍🌈 and 🇫🇷🇩🇪 and 👍🏽",
    "heart ❤️ vs ❤ vs ☺︎",
    "keycap 1️⃣ #️⃣",
    "東京で映画を見ました。",
    "这部电影very好看123我喜欢",
    "영화가 정말 재미있었어요",
    "한글 vs 한글",
    "café cafe\u0301 naïve nai\u0308ve Ångström A\u030angstro\u0308m",
    "Z̸̢̛a̷l̶g̵o̴ t̷e̶x̸t̵",
    "كان الفيلم جميلا שלום עולם mixed ltr",
    "\u202eright to left override\u202c and \u2066isolate\u2069",
    "हिन्दी में फ़िल्म ภาพยนตร์ดี ქართული ไทย",
    "ﬁne ﬂuid Ⅷ ① ½ ² ＡＢＣ １２３ ㎏ ℃",
    "İstanbul ıssız STRASSE straße ẞ ǅ ΣΑΣ ς",
    "a" * 150,
    "supercalifragilisticexpialidocious" * 6,
    "x" * 101 + " " + "y" * 100,
    "https://example.com/a/b?c=d&e=f#g @someone #hashtag e-mail@host.tld",
    "3.14 1,000,000 50% $9.99 €5 £3 1st 2nd ½",
    "...!!!???---___***~~~```",
    "(a) [b] {c} <d> \"e\" 'f' “g” ‘h’ «i» — – …",
    "literal <mask> in text",
    "literal<mask>glued <mask>",
    "two  <mask>  spaces \t<mask>\n<mask>",
    "</s> <s> <pad> <unk> <mask",
    "<s>not a start</s>",
    "[CLS] [SEP] [MASK] [PAD] [UNK] [mask] [ MASK ]",
    "a [MASK] b[MASK]c",
    "<MASK> <Mask> ＜mask＞",
    "▁under ▁ score _ ▁▁",
    "##ing ## # ing",
    "Ġhello Ċ âĢĻ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒻𝓊𝓃 🅰🅱",
    "\U0010ffff \ue000 \ufffd \ufffe",
    "new scripts 𞤀𞤁 𐒰 \U00031350 \U0001e4d0",
    "tab\tat end\t",
    "trailing space ",
    "trailing spaces   ",
    "<br /><br />This film is <i>so</i> &amp; good.",
]

PAIRS = [
    ("Hello", "world"),
    ("", ""),
    ("", "second only"),
    ("first only", ""),
    (" leading", " spaces "),
    ("A film about trains.", "Nobody in the room wanted it to end. 😂"),
    ("with <mask> inside", "and </s> here"),
    ("東京で", "映画を見ました"),
]

LONG = " ".join(CORPUS)
NAMED = {"long": LONG, "short": CORPUS[4], "medium": CORPUS[0] + " " + CORPUS[1], "word": "Hello"}
TRUNCATED = (
    [("long", None, side, n) for side in ("right", "left") for n in (3, 4, 16, 33)]
    + [
        (a, b, side, n)
        for side in ("right", "left")
        for n in (6, 15, 16, 40, 41, 96)
        for a, b in (("long", "short"), ("short", "long"), ("long", "long"), ("medium", "short"))
    ]
    + [("word", None, "right", 512), ("word", "word", "left", 512)]
)


def random_texts(count: int) -> list[str]:
    """Seeded texts of mixed scripts, spaces, marks and markup, to find what nobody thought of."""
    generator = random.Random(20)
    alphabets = [
        list("abcdefghijklmnopqrstuvwxyzABCXYZ"),
        list("0123456789.,:;!?'\"-_/@#&()<>"),
        [" ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u2009", "\u3000", "\u200b", "\u200d", "\ufe0f"],
        list("äöüßéèçñåøœÆİıŞğ") + ["\u0301", "\u0308", "\u0327"],
        list("абвгдёжЭЮЯ") + list("αβγδΩς") + list("אבגד") + list("ابتث"),
        list("映画東京电影院。、") + list("한국어영화") + list("かなカナ"),
        list("😂👍🏽❤☺🇫🇷👨👩👧") + ["👨‍👩‍👧‍👦", "🏳️‍🌈"],
        ["'s", "'t", "'re", "'ll", "<mask>", "</s>", "[MASK]", "@user", "http", " the", " film", "ing", "##", "▁"],
    ]
    texts = []
    for _ in range(count):
        pieces = []
        for _ in range(generator.randint(1, 12)):
            alphabet = generator.choice(alphabets)
            pieces += [generator.choice(alphabet) for _ in range(generator.randint(1, 6))]
        texts.append("".join(pieces))
    anywhere = [i for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    for _ in range(count // 4):
        texts.append("".join(chr(generator.choice(anywhere)) for _ in range(12)))
    return texts


def fnv1a(ids: list[int]) -> str:
    """64-bit FNV-1a over the little-endian bytes of the ids."""
    value = 0xCBF29CE484222325
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def expected(tokenizer, texts: list[str]) -> dict:
    truncated = []
    for text, pair, side, max_length in TRUNCATED:
        tokenizer.truncation_side = side
        ids = tokenizer(NAMED[text], NAMED.get(pair), truncation=True, max_length=max_length)["input_ids"]
        truncated.append(ids)
    tokenizer.truncation_side = "right"
    special = {
        role: getattr(tokenizer, f"{role}_token_id") for role in ("pad", "cls", "sep", "unk", "mask")
    }
    # As lists: given two strings, `transformers` takes an empty second text for none.
    pairs = tokenizer([a for a, _ in PAIRS], [b for _, b in PAIRS], return_token_type_ids=True)
    return {
        "special_ids": special,
        "vocab_size": len(tokenizer),
        "texts": [tokenizer(text)["input_ids"] for text in TEXTS],
        "pairs": pairs["input_ids"],
        "pair_type_ids": pairs["token_type_ids"],
        "truncated": truncated,
        "random": [fnv1a(tokenizer(text)["input_ids"]) for text in texts],
        "long": fnv1a(tokenizer(LONG * 300)["input_ids"]),
        "whitespace": fnv1a(tokenizer("a" + " " * 150_000 + "\t" * 90_000 + "b")["input_ids"]),
        "word": fnv1a(tokenizer("ab" * 100_000)["input_ids"]),
    }


def write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=True, separators=(',', ':'))}" for k, v in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def roberta(directory: Path, **options):
    mask = AddedToken("<mask>", lstrip=True, special=True)
    return RobertaTokenizer(
        vocab=str(directory / "vocab.json"), merges=str(directory / "merges.txt"), mask_token=mask, **options
    )


def save_json(tokenizer, name: str, texts: list[str]) -> None:
    """The same tokenizer as tokenizer.json, with padding and truncation set in it."""
    directory = DATA / name
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer.save_pretrained(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(Path(temporary) / file, directory / file)
    path = directory / "tokenizer.json"
    contents = json.loads(path.read_text(encoding="utf-8"))
    contents["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    contents["padding"] = {
        "strategy": {"Fixed": 8},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": tokenizer.pad_token_id,
        "pad_type_id": 0,
        "pad_token": tokenizer.pad_token,
    }
    path.write_text(json.dumps(contents, ensure_ascii=False), encoding="utf-8")
    write(directory / "expected.json", expected(tokenizer, texts))


def byte_level_bpe(texts: list[str]) -> None:
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(CORPUS * 4, vocab_size=520, min_frequency=2, special_tokens=special)
    directory = DATA / "byte_level_bpe"
    directory.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(directory))
    write(directory / "expected.json", expected(roberta(directory), texts))

    prefix = DATA / "byte_level_bpe_prefix_space"
    prefix.mkdir(parents=True, exist_ok=True)
    for file in ("vocab.json", "merges.txt"):
        shutil.copy(directory / file, prefix / file)
    merges = (directory / "merges.txt").read_text(encoding="utf-8").splitlines()
    # As some repositories have it: no version line, empty lines.
    (prefix / "merges.txt").write_text("\n".join(["", *merges[1:], "", ""]) + "\n", encoding="utf-8")
    config = {"add_prefix_space": True, "model_max_length": int(1e30)}
    (prefix / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
    added = {"@user": 520, "<emoji>": 521}
    (prefix / "added_tokens.json").write_text(json.dumps(added) + "\n")
    tokenizer = roberta(directory, add_prefix_space=True)
    tokenizer.add_tokens([AddedToken(token, normalized=True) for token in added])
    write(prefix / "expected.json", expected(tokenizer, texts))

    save_json(roberta(directory), "byte_level_bpe_json", texts)


def wordpiece(texts: list[str]) -> None:
    for name, lowercase in (("wordpiece_uncased", True), ("wordpiece_cased", False)):
        trained = BertWordPieceTokenizer(lowercase=lowercase, strip_accents=None)
        trained.train_from_iterator(CORPUS * 4, vocab_size=420, min_frequency=2)
        directory = DATA / name
        directory.mkdir(parents=True, exist_ok=True)
        trained.save_model(str(directory))
        if not lowercase:
            config = {"do_lower_case": False, "strip_accents": False, "tokenize_chinese_chars": False}
            (directory / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
        options = {} if lowercase else config
        tokenizer = BertTokenizer(vocab=str(directory / "vocab.txt"), **options)
        write(directory / "expected.json", expected(tokenizer, texts))
        if lowercase:
            distil = DistilBertTokenizer(vocab=str(directory / "vocab.txt"))
            save_json(distil, "wordpiece_json", texts)


def unigram(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        corpus = Path(temporary) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS * 4), encoding="utf-8")
        # The standard rules (nmt_nfkc) make 240 kB; these exercise the same machinery.
        rules = Path(temporary) / "rules.tsv"
        pairs = [("\u00a0", " "), ("\u3000", " "), ("ﬁ", "fi"), ("１", "1"), ("Ａ", "A"), ("\u200b", " "), ("e\u0301", "é")]
        lines = [" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) for a, b in pairs]
        rules.write_text("\n".join(lines) + "\n")
        for name, tokenizer_class in (("unigram", XLMRobertaTokenizer), ("unigram_camembert", CamembertTokenizer)):
            directory = DATA / name
            directory.mkdir(parents=True, exist_ok=True)
            sentencepiece.SentencePieceTrainer.train(
                input=str(corpus),
                model_prefix=str(Path(temporary) / "model"),
                vocab_size=200,
                model_type="unigram",
                character_coverage=0.98,
                normalization_rule_tsv=str(rules),
                num_threads=1,
                minloglevel=2,
            )
            shutil.copy(Path(temporary) / "model.model", directory / "sentencepiece.bpe.model")
            mask = AddedToken("<mask>", lstrip=True, special=True)
            tokenizer = tokenizer_class.from_pretrained(str(directory), mask_token=mask)
            write(directory / "expected.json", expected(tokenizer, texts))
            if tokenizer_class is XLMRobertaTokenizer:
                save_json(tokenizer, "unigram_json", texts)


def main() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    texts = random_texts(160)
    truncated = [
        {"text": text, "pair": pair, "side": side, "max_length": n} for text, pair, side, n in TRUNCATED
    ]
    write(
        DATA / "inputs.json",
        {"texts": TEXTS, "pairs": PAIRS, "truncated": truncated, "random": texts, "named": NAMED},
    )
    byte_level_bpe(texts)
    wordpiece(texts)
    unigram(texts)
    real = SHARED / "tokenizers" / "roberta-base"
    if real.is_dir():
        write(DATA / "roberta_base_expected.json", expected(roberta(real), texts))
    else:
        print(f"skipped: {real} is absent")
    size = sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file())
    print(f"{size} bytes in {DATA}")


if __name__ == "__main__":
    main()
