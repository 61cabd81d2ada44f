"""Build of the compiled extensions; everything else stands in pyproject.toml."""

import hashlib
import os
import platform
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No -march=native and no contraction to fused multiply-adds: the same input and
# seed must give the same bytes on every machine that runs the same wheel.
# SSE4.1 (x86-64-v2) is what numpy itself asks for; the kernels use it for integers only.
COMPILE_ARGS = ["-O3", "-ffp-contract=off"]
if platform.machine() in ("x86_64", "AMD64"):
    COMPILE_ARGS.append("-msse4.1")
# The kernels are specialised by constant arguments of inline functions, which the compiler must
# not decline to inline.
INLINE = [] if os.name == "nt" else [("CYTHON_INLINE", "inline __attribute__((always_inline))")]
NUMPY_RANDOM_LIB = os.path.join(os.path.dirname(np.get_include()), "..", "random", "lib")


SOURCES = Path("cython_ext")


def extension(folder: str, **extra) -> Extension:
    return Extension(
        f"kmc_oxy.physics._{folder}",
        sources=[str(SOURCES / folder / f"_{folder}.pyx")],
        include_dirs=[np.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), *INLINE],
        extra_compile_args=COMPILE_ARGS,
        **extra,
    )


def source_digest() -> str:
    """Digest of all that the extensions are compiled from, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.glob("*/*.p[yx][xdi]")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(SOURCES)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


class BuildKernels(build_ext):
    """Writes the digest of the sources beside the extensions: a run resumes under no other."""

    def run(self) -> None:
        # Taken before, so that an edit during the compilation is not taken for compiled.
        digest = source_digest()
        super().run()
        extension_path = Path(self.get_ext_fullpath("kmc_oxy.physics._engine"))
        record = extension_path.parents[1] / "_kernel_source.py"
        record.write_text(f'"""Written by setup.py."""\n\nKERNEL_SOURCE = "{digest}"\n')


EXTENSIONS = [
    extension("engine", library_dirs=[NUMPY_RANDOM_LIB], libraries=["npyrandom", "m"]),
    extension("network"),
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        include_path=["cython_ext/engine", "cython_ext/network"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    ),
    cmdclass={"build_ext": BuildKernels},
)
