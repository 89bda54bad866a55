"""The limit of Python: a loop that starts each of N programs again when the program has ended, and does nothing else.

bare_asyncio.py N COMMAND [ARGUMENT]...   (each program gets its number as one more argument)
"""

import asyncio
import sys


async def keep(command: list[str], number: int) -> None:
    """Run one program, again and again."""
    while True:
        program = await asyncio.create_subprocess_exec(*command, str(number))
        await program.wait()


async def main() -> None:
    """Run all."""
    await asyncio.gather(*(keep(sys.argv[2:], number) for number in range(int(sys.argv[1]))))


asyncio.run(main())
