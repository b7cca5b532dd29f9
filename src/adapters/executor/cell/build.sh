#!/bin/sh
# Compiles cell.c into the two binaries that are committed beside it. No libc, no build id, no timestamps: the same
# compiler gives the same bytes. Usage: build.sh [x64|arm64|all] [OUTPUT-DIRECTORY]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
which=${1:-all}
out=${2:-$here}
flags="-std=c11 -Os -Wall -Wextra -Werror -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector
  -fno-asynchronous-unwind-tables -fno-ident -fomit-frame-pointer -fno-tree-loop-distribute-patterns
  -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-z,noexecstack -s"
cd "$here" # a path in the command line would end up in nothing, but keep it so
case $which in x64 | all) ${CC_X64:-gcc} $flags -o "$out/cell-x64" cell.c ;; esac
case $which in arm64 | all) ${CC_ARM64:-aarch64-linux-gnu-gcc} $flags -mno-outline-atomics -o "$out/cell-arm64" cell.c ;; esac
