"""Writes what is no UTF-8, NULs, and escapes of terminals."""

import os

import ledger

for descriptor in (1, 2):
    os.write(descriptor, b"\xff\xfe\x00\x00 \xc3( \x1b[2J\x1b]0;title\x07\r half\n\x00\n\n\xf0\x9f\n" + bytes(range(256)))
ledger.go_on()
