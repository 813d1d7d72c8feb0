"""A program that holds job pages open: a WebSocket each, opened again whenever it closes."""

import asyncio
import json
import os

import aiohttp


async def page(session: aiohttp.ClientSession, url: str, job: int) -> None:
    while True:
        try:
            async with session.ws_connect(f"{url}/ws/training/{job}/", heartbeat=20) as socket:
                await socket.send_str(json.dumps({"after": 0}))
                async for _ in socket:
                    continue
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(1)  # the server is away: what a browser does, too


async def main() -> None:
    url, count = os.environ["URL"], int(os.environ["PAGES"])
    headers = {"Cookie": os.environ["COOKIE"], "Origin": url}
    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(page(session, url, 1 + number % 20) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(main())
