"""Compiles the device source to PTX with NVRTC, and assembles that with ptxas. scripts/ptx says how to call it."""

import ctypes
import difflib
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

# One PTX serves all devices: a driver compiles it for devices newer than the oldest.
OPTIONS = ["--gpu-architecture=compute_70", "--std=c++17", "-DGM_LANES=128", "-DGM_STRIP=1",
           "--diag-suppress=550"]  # operands that an instruction does not use
# The version that the PTX declares: CUDA 12.0, so drivers from 525 on accept it. NVRTC would declare its own version,
# for which drivers before 575 are too old; ptxas refuses features that are newer than the declared version.
PTX_VERSION = ".version 8.0"
ARCHITECTURES = ["sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
ROOT = Path(__file__).resolve().parent.parent
KERNEL = ROOT / "kernel"
# The benchmark's kernel that only reads, which is written by hand.
READER = ROOT / "bench/src/device/read.ptx"
PACKAGES = Path(sysconfig.get_paths()["purelib"]) / "nvidia"


def source():
    """The whole device source, as crates/megakernel puts it together. Errors name the file that they are in."""
    parts = (ROOT / "crates/megakernel/src/backend/device.rs").read_text()
    names = re.findall(r'include_str!\("[./]*/kernel/(.+)"\)', parts)
    return "".join(f'#line 1 "{name}"\n{(KERNEL / name).read_text()}' for name in names)


def compile_ptx(text):
    """PTX, or an exit with the compiler's messages."""
    nvrtc = ctypes.CDLL(str(PACKAGES / "cuda_nvrtc/lib/libnvrtc.so.12"))
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def check(code):
        if code:
            sys.exit(f"NVRTC: {nvrtc.nvrtcGetErrorString(code).decode()}")

    def text_of(what):
        size = ctypes.c_size_t()
        check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        check(getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
        return buffer.value.decode()

    program = ctypes.c_void_p()
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"gristmill.cu", 0, None, None))
    options = (ctypes.c_char_p * len(OPTIONS))(*(option.encode() for option in OPTIONS))
    code = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), options)
    for line in text_of("ProgramLog").splitlines():
        if "prior to '<compute/sm>_75' are deprecated" not in line:
            print(line, file=sys.stderr)
    check(code)
    return re.sub(r"^\.version .*$", PTX_VERSION, text_of("PTX"), count=1, flags=re.MULTILINE)


def faults_of(ptx):
    """What no compiler refuses and the protocol does not allow."""
    # The host rewrites chunks while the kernel runs, and the cache of these loads is not kept coherent.
    if ".nc." in ptx:
        yield "the PTX reads through the non-coherent cache: a pointer is both const and restrict"
    for order in ["ld.acquire.sys", "st.release.sys"]:
        if order not in ptx:
            yield f"the PTX has no {order}"


def assemble(path, architecture):
    """What ptxas says of the kernel: registers and the bytes that a lane or a group needs."""
    command = [PACKAGES / "cuda_nvcc/bin/ptxas", f"--gpu-name={architecture}", "-v", "--output-file=/dev/null", path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"ptxas for {architecture}:\n{done.stdout}{done.stderr}")

    def number(unit):
        return max(map(int, re.findall(rf"(\d+) {unit}", done.stdout + done.stderr)), default=0)

    return {
        "registers": number("registers"),
        "stack": number("bytes stack frame"),
        "spilled": number("bytes spill stores") + number("bytes spill loads"),
        "shared": number("bytes smem"),
    }


def main():
    committed = KERNEL / "gristmill.ptx"
    ptx = compile_ptx(source())
    faults = list(faults_of(ptx))
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        for architecture in ARCHITECTURES:
            needs = assemble(file.name, architecture)
            print(f"{architecture:7}" + ", ".join(f"{value} {name}" for name, value in needs.items()))
            if needs["spilled"]:
                faults.append(f"registers are spilled on {architecture}")
    for architecture in ARCHITECTURES:
        assemble(READER, architecture)
    if "--check" not in sys.argv[1:]:
        committed.write_text(ptx)
        print(f"wrote {committed.name}, {len(ptx)} bytes")
    elif (old := committed.read_text() if committed.exists() else "") != ptx:
        difference = difflib.unified_diff(old.splitlines(), ptx.splitlines(), "committed", "compiled", lineterm="")
        print("\n".join(list(difference)[:20]))
        faults.append("kernel/gristmill.ptx is stale: run scripts/ptx")
    if faults:
        sys.exit("\n".join(faults))


main()
