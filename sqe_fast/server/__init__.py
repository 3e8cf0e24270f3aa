"""The evaluator over HTTP and WebSocket, and a page to look at it with.

One process, one evaluator, one event loop. The loop reads requests and writes answers; recordings are decoded and
cut on threads of the evaluator, which its one engine thread serves in batches across all clients.

- `settings`: what is listened to, who may ask, and how much.
- `connections`: sockets: those that say nothing, or take nothing, are closed; a server that is told to stop ends what
  it has begun.
- `gate`: in front of all routes: who asks, how much is sent, how many at once; every refusal in one form (`refusals`).
- `intake`: bodies → recordings and choices, checked by `schemas`, of which the OpenAPI document is made
  (`openapi`).
- `app`: the routes; `rating` (rows), `chat` (OpenAI's form), `calls` (WebSocket), `metrics`, `page.html`.
"""
