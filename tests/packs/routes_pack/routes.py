import asyncio
import json
import os

import server
from aiohttp import WSMsgType, web
from server import PromptServer

routes = PromptServer.instance.routes
here = os.path.dirname(os.path.realpath(__file__))
state = {"calls": 0, "started": False}


@routes.get("/routes_pack/hello")
async def hello(request):
    state["calls"] += 1
    return web.json_response({"hello": request.rel_url.query.get("name", "world"), "path": request.path})


@routes.post("/routes_pack/echo")
async def echo(request):
    body = await request.json()
    return web.json_response({"got": body, "user": PromptServer.instance.user_manager.get_request_user_id(request)})


@routes.get("/routes_pack/items/{name}")
async def item(request):
    name = request.match_info["name"]
    if name == "missing":
        return web.Response(status=404, text="no such item")
    if name == "broken":
        raise RuntimeError("a bug of the pack")
    response = web.json_response({"item": name}, headers={"X-Item": name})
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


@routes.get("/routes_pack/stream")
async def stream(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(3):
        await response.write(f"data: {json.dumps({'number': number})}\n\n".encode())
        await asyncio.sleep(0)
    gate = request.rel_url.query.get("wait_for")
    while gate and not os.path.exists(gate):
        await asyncio.sleep(0.01)
    await response.write(b"data: end\n\n")
    return response


@routes.get("/routes_pack/break")
async def break_off(request):
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"only this")
    request.transport.close()
    return response


@routes.put("/routes_pack/upload")
async def upload(request):
    size = 0
    async for piece in request.content.iter_chunked(65536):
        size += len(piece)
    return web.json_response({"size": size, "length": request.content_length})


@routes.post("/routes_pack/form")
async def form(request):
    fields = await request.post()
    return web.json_response({name: value if isinstance(value, str) else value.filename for name, value in fields.items()})


@routes.get("/routes_pack/headers")
async def headers(request):
    return web.json_response(sorted((name.lower(), value) for name, value in request.headers.items()))


@routes.get("/routes_pack/socket")
async def socket(request):
    socket = web.WebSocketResponse(protocols=["routes.v1"])
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            if message.data == "bye":
                await socket.close(code=4001)
                break
            await socket.send_str(message.data[::-1])
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data[::-1])
    state["socket_closed"] = socket.close_code
    return socket


@routes.get("/routes_pack/state")
async def show_state(request):
    return web.json_response(state)


@routes.get("/routes_pack/queue")
async def show_queue(request):
    queue = server.PromptServer.instance.prompt_queue
    loop = asyncio.get_running_loop()
    history = await loop.run_in_executor(None, queue.get_history)
    return web.json_response({"remaining": queue.get_tasks_remaining(), "history": list(history)})


@routes.post("/routes_pack/tell")
async def tell(request):
    body = await request.json()
    await PromptServer.instance.send_json("routes_pack.told", body)
    PromptServer.instance.send_sync(1, b"\x00\x00\x00\x02raw bytes")
    return web.Response(status=204)


# The path of a built-in route: that one is left alone.
@routes.get("/queue")
async def not_the_queue(request):
    return web.json_response("never seen")


# Another method of a built-in path is free.
@routes.delete("/queue")
async def delete_queue(request):
    return web.json_response("seen")


async def named(request):
    return web.json_response("added to the application itself")


app = PromptServer.instance.app
app.router.add_get("/routes_pack/direct", named)
app.add_routes([web.static("/routes_pack/files", os.path.join(here, "web"))])


async def on_startup(app):
    state["started"] = True


app.on_startup.append(on_startup)


async def in_background():
    await asyncio.sleep(0)
    state["background"] = PromptServer.instance.loop is asyncio.get_running_loop()


asyncio.get_running_loop().create_task(in_background())


def on_prompt(json_data):
    prompt = json_data.get("prompt", {})
    for node in prompt.values():
        if node.get("class_type") == "RoutesPackShout" and node["inputs"].get("text") == "%date%":
            node["inputs"]["text"] = "today"
        if node.get("class_type") == "RoutesPackShout" and node["inputs"].get("text") == "%fail%":
            raise ValueError("the handler fails")
    return json_data


PromptServer.instance.add_on_prompt_handler(on_prompt)
