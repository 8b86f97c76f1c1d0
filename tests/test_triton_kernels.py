"""Triton's kernels, compiled for a Hopper GPU on a machine that has none: the interpreter, in which
their arithmetic is tested, never sees what the compiler refuses.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from obvlib.models import rotary_kernel
from obvlib.training import master_kernel

HOPPER = GPUTarget("cuda", 90, 32)
KERNELS = {  # module: (types of the arguments, constants)
    "obvlib/training/master_kernel.py": (
        "weights *i16, gradients *bf16, averages *fp32, squares *fp32, residuals *i16, count i64,"
        " decay fp32, new1 fp32, beta2 fp32, new2 fp32, step_size fp32, correction fp32, eps fp32",
        {"BLOCK": master_kernel.BLOCK},
    ),
    "obvlib/models/rotary_kernel.py": (
        "x *bf16, cos *fp32, sin *fp32, out *bf16, count i32, token_stride i32, head_stride i32,"
        " out_stride i32, angle_stride i32, sign fp32",
        {"HEADS": 16, "HALF": 40, "WIDTH": 64, "ROWS": rotary_kernel.ROWS},
    ),
}


@pytest.mark.parametrize(
    "module", [master_kernel, rotary_kernel], ids=lambda module: module.__name__
)
def test_a_kernel_compiles_for_hopper(module):
    name = module.__name__.replace(".", "/") + ".py"
    types, constants = KERNELS[name]
    signature = dict(argument.split() for argument in types.split(","))
    signature |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=module._kernel, signature=signature, constexprs=constants)
    assert compile(source, target=HOPPER).asm["cubin"]


def test_no_kernel_is_left_out():
    root = Path(__file__).parent.parent
    found = {
        path.relative_to(root).as_posix()
        for path in (root / "obvlib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any("triton.jit" in ast.unparse(mark) for mark in node.decorator_list)
    }
    assert found == set(KERNELS)


TURN = """
import torch
from obvlib.models.rotary import _turn_in_torch
from obvlib.models.rotary_kernel import turn
for heads, dim in ((3, 80), (12, 128), (2, 10), (0, 8)):
    made = torch.randn(37, 3, heads, dim).bfloat16()  # of query, key and value
    angles = torch.randn(37, dim // 2).repeat(1, 2)
    for back in (False, True):
        given = (made[:, 1], angles.cos(), angles.sin(), back)
        ours, theirs = (torch.full((37, heads, dim), 9.0).bfloat16() for _ in range(2))
        made_here, made_there = turn(*given, ours), _turn_in_torch(*given, theirs)
        torch.testing.assert_close(made_here, made_there, rtol=2**-7, atol=2**-7)  # one rounding
"""


def test_the_rotation_is_torchs_own_in_the_interpreter():
    done = subprocess.run(
        [sys.executable, "-c", TURN],
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
