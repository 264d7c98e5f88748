"""Damaged parameter files and command-line overrides."""

from seednb.core.profiles import load_params, parse_override

from .case import ERROR, WORKS, Case

BILLION = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{now}: &{now} [{', '.join(f'*{before}' for _ in range(9))}]\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True)
)


def written(content):
    """A parameter file."""

    def make(folder):
        file = folder / "odd.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return make


def file(name, content, expected=ERROR, says=""):
    """A parameter file with some text."""
    return Case(f"YAML: {name}", written(content), load_params, expected, says)


def option(text, expected=ERROR, says=""):
    """A `-p` option over an empty file."""

    def read(path):
        return load_params(path, dict([parse_override(text)]))

    return Case(f"-p {text:.40}", written(""), read, expected, says)


CASES = [
    file("empty", "", WORKS),
    file("a list", "- seed\n- 3\n", says="expected `key: value` lines"),
    file("a number", "3", says="expected `key: value` lines"),
    file("unknown key", "sead: 3", says="unknown parameter 'sead' .did you mean 'seed'"),
    file("key is a number", "3: 4", says="unknown parameter 3"),
    file("key is a list", "? [a]\n: 1\n", says="not valid YAML"),
    file("key twice", "seed: 3\nseed: 4\n", says="'seed' is set twice.*line 1"),
    file("tab as indentation", "seed:\n\t3", says="not valid YAML.*line 2"),
    file("control character", b"seed: 3\x07", says="not valid YAML"),
    file("Latin-1", b"notice: \xe9\xe8", says="cannot be read as UTF-8"),
    file("a Python object", "seed: !!python/object/apply:os.getcwd []", says="not valid YAML"),
    file("aliases that stand for a billion items", BILLION, says="unknown parameter 'a'"),
    file("a value of a billion items", BILLION + "seed: *i\n", says="unknown parameter 'a'"),
    file("lists in lists, 2000 deep", "seed: " + "[" * 2000, says="not valid YAML"),
    file("list instead of a number", "seed: [1]", says=r"seed=\[1\]: must be of type int"),
    file("text instead of a number", "seed: many", says="seed='many': must be of type int"),
    file("yes instead of a number", "seed: yes", says="seed=True: must be of type int"),
    file("number instead of a text", "profile: 3", says="profile=3: must be of type str"),
    file("date instead of a text", "profile: 2026-01-01", says="must be of type str"),
    file("a date that there is not", "seed: 2026-13-45", says="not valid YAML"),
    file("nothing instead of a number", "seed:", says="seed=None"),
    file("NaN", "learning_rate: .nan", says="learning_rate=nan: must be in"),
    file("infinity", "learning_rate: .inf", says="learning_rate=inf: must be in"),
    file("number of 60 digits", "seed: " + "9" * 60, says="must be of type int"),
    file("number of 5000 digits", "seed: " + "9" * 5000, says="not valid YAML"),
    file("hexadecimal number of 5000 digits", "seed: 0x" + "f" * 5000, says="a number of 20000 bits"),
    file("profile that leaves its folder", "profile: ../../elsewhere", says="must be a folder's name"),
    file("profile without letters", "profile: ''", says="must be a folder's name"),
    file("beta values that do not fit the quantiles", "beta_values: [1.0, 0.5]", says="one value more"),
    file("beta values that rise", "beta_values: [0.1, 0.2, 0.3, 0.4]", says="must fall"),
    file("emoji and right-to-left text", "notice: '🦄 שלום'", WORKS),
    Case("YAML: a folder", lambda folder: folder, load_params, ERROR, "cannot be read"),
    Case("YAML: not there", lambda folder: folder / "x.yaml", load_params, ERROR, "no such parameter file"),
    option("seed", says="expected key=value"),
    option("seed=[1", says="-p seed=.1: not valid YAML"),
    option("seed=1e400", says="must be of type int"),
    option("noise_alpha=1e-400", WORKS),
    option("beta_values=[1, '0.5', 0.2, 0.1]", WORKS),
    option("beta_values=[]", says="one value more"),
]  # fmt: skip
