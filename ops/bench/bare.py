"""The least that can answer a look-up over HTTP: one aiohttp handler, one SELECT by primary key, JSON. No key, no tenant, no record."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from psycopg_pool import AsyncConnectionPool

SELECT = "SELECT status, sub_status, since FROM delivery_read.read_deliveries WHERE message = %s AND recipient = %s"


async def _serve(url: str) -> None:
    async with AsyncConnectionPool(url, min_size=4, max_size=20, kwargs={"autocommit": True}, open=False) as pool:

        async def handle(request: web.Request) -> web.Response:
            asked_for = request.match_info["message"], int(request.match_info["recipient"])
            async with pool.connection() as connection:
                found = await (await connection.execute(SELECT, asked_for)).fetchone()
            if found is None:
                raise web.HTTPNotFound
            return web.json_response({"status": found[0], "sub_status": found[1], "since": found[2]})

        app = web.Application()
        app.router.add_get("/v1/messages/{message}/deliveries/{recipient}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
