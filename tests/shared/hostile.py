"""Recipes, ``--set`` values and options made to break what reads them, and a process that runs commands."""

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
from damage import hostile as hostile_sqz
from damage import mutate
from hostile_files import ESCAPES, good_files, hostile_npy, hostile_onnx, hostile_safetensors, hostile_tflite

BASE = """version: 1
name: small
task: tiny:build_task
stages:
  - {stage: train, epochs: 0}
  - {stage: prune, sparsity: 0.5}
exports:
  - {export: onnx}
references: []
"""
KEYS = (
    *("version", "name", "task", "seed", "stages", "exports", "references", "unsupported", "threads"),
    *(
        "stages.prune.sparsity",
        "stages.train.epochs",
        "stages.train.batch_size",
        "stages.train.learning_rate",
    ),
    *("exports.onnx.precision", "stages.prune", "exports.onnx", "stages.0", "new.key", "task.data"),
)
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 25))
SCALARS = (
    *(
        "!!int abc",
        "2024-99-99",
        "0b_",
        "9" * 5000,
        "!!int ''",
        "!!bool maybe",
        "!!timestamp abc",
        "!!float x",
    ),
    *(
        "!!float ''",
        "0x" + "f" * 5000,
        "1e99999",
        ".nan",
        "-.inf",
        "1:60:60:60",
        "9999-12-31 23:59:59 +99:99",
    ),
    *(
        "[" * 350 + "]" * 350,
        "{a: " * 350 + "1" + "}" * 350,
        "- " * 400 + "x",
        "{" * 5000,
        "&a [*a]",
        "&a {b: *a}",
    ),
    *(
        "!!python/object/apply:os.system [x]",
        "!!binary '&&&'",
        "{[1]: 2}",
        "? [a]\n: b",
        "<<: [3]",
        "*nothing",
    ),
    *(
        "%YAML 9.9\n--- a",
        "a\n--- \nb",
        '"\\ud800"',
        '"\\0"',
        '"\\x1b[31mred"',
        '"\\u202eevil"',
        "'",
        "\t",
        "",
    ),
    *(
        "9223372036854775808",
        "18446744073709551616",
        "4294967296",
        "-1",
        "1e400",
        "true",
        "null",
        "[]",
        "{}",
        "~",
    ),
    *(
        "[1, [2, [3]]]",
        "{stage: [x]}",
        "{stage: prune, stage: qat}",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "x" * 20000,
    ),
    *(
        "{a: 1, a: 2}",
        "[{}, {}, 7]",
        "../../../etc/passwd",
        "/dev/zero",
        "os:system",
        "a" * 5000 + ":b",
        "[/red]",
    ),
)


@dataclass(frozen=True)
class Case:
    """A command and what it is about; ``files`` are written into the folder in which it runs."""

    kind: str
    arguments: tuple[str, ...]
    files: dict[str, bytes]


def set_values():
    """``--set`` with every scalar at some key, and keys that are none."""
    for number, value in enumerate((*SCALARS, *ESCAPES)):
        for key in (KEYS[number % len(KEYS)], KEYS[(7 * number + 3) % len(KEYS)]):
            yield _recipe_case("--set", BASE, f"{key}={value}", number)
    for key in (
        "",
        "=",
        "a.b.c=1",
        "stages.99999999999=1",
        "stages." + "9" * 5000 + "=1",
        "stages.٣=1",
        *ESCAPES,
    ):
        yield _recipe_case("--set", BASE, key, len(key))
        yield _recipe_case("--set", BASE, f"stages.{key}=1", len(key))


def recipes(texts):
    """Whole files: each scalar as a value, as a key and alone; ``texts`` of real recipes damaged."""
    for number, value in enumerate((*SCALARS, *ESCAPES)):
        lines = BASE.splitlines()
        lines[2 + number % 6] = f"{lines[2 + number % 6].split(':')[0]}: {value}"
        yield _recipe_case("recipe", "\n".join(lines), None, number)
        yield _recipe_case("recipe", f"{BASE}{value}: 1\n", None, number)
        if number % 2:
            yield _recipe_case("recipe", value, None, number)
    for text in (
        LAUGHS,
        BASE + LAUGHS,
        "\x00",
        "\ufeff" + BASE,
        "\xff\xfe",
        BASE.replace("small", "s" * 5000),
        "- \n" * 200_000,
    ):
        yield _recipe_case("recipe", text, None, 0)
    rng = np.random.default_rng(0)
    for text in texts:
        damaged = mutate(text.encode(), rng)
        yield Case(
            "damaged recipe", ("compress", "--recipe", "r.yaml", "--output", "r.yaml"), {"r.yaml": damaged}
        )


def _recipe_case(kind, text, setting, number):
    """One of the two commands that read recipes; ``--output`` is a file, so that nothing lasts long."""
    command = ("compress", "train")[number % 2]
    options = () if setting is None else ("--set", setting)
    arguments = (command, "--recipe", "r.yaml", "--output", "r.yaml", *options)
    return Case(kind, arguments, {"r.yaml": text.encode("utf-8", "surrogatepass")})


def edge_numbers():
    """Runs to their end, with the largest numbers that the schema takes and the smallest that it does not."""
    values = {
        "seed": (2**53 - 1, 2**53, 2**63),
        "threads": (2, 1025, 4294967296),
        "stages.prune.sparsity": (0.9999999, 1.0),
        "stages.train.batch_size": (65_536, 65_537),
    }
    for key, numbers in values.items():
        for number in numbers:
            arguments = ("compress", "--recipe", "r.yaml", "--output", "out", "--set", f"{key}={number}")
            yield Case("number at its limit", arguments, {"r.yaml": BASE.encode()})


def option_values():
    """Options of the command line that no file has to do with."""
    long, good = "x" * 5000, good_files()
    for arguments in (
        ("inspect", long), ("inspect", f"{long}.onnx"), ("bench", f"{long}.onnx"), ("bench", "--suite", long),
        ("verify", f"{long}.tflite"), ("decode", long, "-o", "out"), ("decode", "good.sqz", "-o", long),
        ("decode", "--bundle", long), ("report", long), ("compress", "--resume", long),
        ("compress", "--recipe", long), ("compress", "--recipe", "r.yaml", "--output", long),
        ("train", "--resume", long), ("verify", "good.onnx", "good.sqz", "--images", "10000000000"),
        ("verify", "good.onnx", "good.sqz", "--npy", long),
        ("verify", "good.onnx", "good.sqz", "--seed", "9" * 5000), ("bench", "good.onnx", "--threads", "4294967296"),
        ("verify", "good.onnx", "good.sqz", "--images", "9" * 5000), ("inspect", "."), ("verify", "."), ("report", "."),
        ("inspect", "a\x1b[31m.onnx"), ("compress", "--recipe", "\x1b[31mr"), ("bench", "\u202emodel"),
    ):  # fmt: skip
        yield Case("option", arguments, {"r.yaml": BASE.encode()} | good)


# -- model files ---------------------------------------------------------------------------------------


SUITE = "version: 1\nname: s\nbaseline: null\nprocesses: 1\nrounds: 1\nsamples: 1\nwarmup: 1\nmodels: [{}]\n"


def model_cases(damaged):
    """Every file through the commands that take it; ``damaged`` copies of each good one beside those made by hand."""
    good = good_files()
    rng = np.random.default_rng(1)
    made = [
        (f"bad.{name.split('.')[1]}", mutate(data, rng))
        for name, data in good.items()
        for _ in range(damaged)
    ]
    made += [("bad.onnx", data) for data in hostile_onnx()]
    made += [("bad.tflite", data) for data in hostile_tflite(good["good.tflite"])]
    made += [("bad.safetensors", data) for data in hostile_safetensors()]
    made += [("bad.sqz", data) for data in hostile_sqz()]
    made += [("bad.npy", data) for data in hostile_npy()]
    for number, (name, data) in enumerate(made):
        for arguments in _commands(name, number):
            suite = SUITE.format(name).encode()
            yield Case(f"{arguments[0]}, {name[4:]}", arguments, good | {name: data, "s.yaml": suite})


def _commands(name, number):
    """Those that take such a file; of the two that run one, each gets every second."""
    match name.split(".")[1]:
        case "sqz":
            return [
                ("inspect", name),
                ("decode", name, "-o", "out"),
                ("verify", "good.onnx", name, "--images", "2"),
            ]
        case "safetensors":
            checkpoint = f"task={{model: lenet5, data: mnist_sample, checkpoint: {name}}}"
            return [
                ("inspect", name),
                ("compress", "--recipe", "r.yaml", "--set", checkpoint, "--output", "r.yaml"),
            ]
        case "npy":
            return [("verify", "good.onnx", "good.sqz", "--npy", name)]
        case _:
            runs = [("bench", "--suite", "s.yaml"), ("verify", name, "good.sqz", "--images", "2")]
            return [("inspect", name), runs[number % 2]]


# -- running -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a command did: its exit code (or what ended it), and everything it printed."""

    code: int | str
    stdout: str
    stderr: str

    @property
    def faults(self):
        """What a person must never see."""
        found = [] if self.code in (0, 2) else [f"exit code {self.code}"]
        if "Traceback" in self.stdout + self.stderr:
            found.append("a traceback")
        raw = {c for c in self.stdout + self.stderr if not c.isprintable() and c != "\n"}
        found += [f"raw {c!r}" for c in sorted(raw)]
        if self.code == 2 and not self._is_said:
            found.append("no sentence")
        return found

    @property
    def _is_said(self):
        lines = self.stderr.splitlines()
        return bool(lines) and (lines[-1].startswith("error: ") or lines[0].startswith("Usage: "))


LOOP = """
import contextlib, io, json, os, sys, traceback
from edgesqueeze.cli.main import main
answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
for line in sys.stdin:
    folder, arguments = json.loads(line)
    os.chdir(folder)
    sys.argv = ["edgesqueeze", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
        except BaseException as error:
            code = type(error).__name__
            traceback.print_exc()
    answers.write(json.dumps([code, out.getvalue(), err.getvalue()]) + "\\n")
    answers.flush()
"""
"""One process for many commands. Native code that ends it, ends this one: the next case gets another."""


class Commands:
    """Runs cases in a folder, each with its files alone there."""

    def __init__(self, folder):
        self._folder, self._process = folder, None

    def answer(self, case):
        """Run one command."""
        for path in sorted(self._folder.rglob("*"), reverse=True):
            if path.name != "tiny.py":
                path.rmdir() if path.is_dir() else path.unlink()
        for name, content in {"r.yaml": BASE.encode(), **case.files}.items():
            (self._folder / name).write_bytes(content)
        if self._process is None:
            pipe = subprocess.PIPE
            command = [sys.executable, "-c", LOOP]
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self._process.stdin.write((json.dumps([str(self._folder), case.arguments]) + "\n").encode())
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._process = None
            return Answer(f"ended by {code}", "", "")
        return Answer(*json.loads(line))

    def close(self):
        """End the process."""
        if self._process is not None:
            with self._process as process:
                process.stdin.close()
