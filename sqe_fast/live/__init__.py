"""Calls in the air: audio is pushed piece by piece, quality events come out, and nobody who pushes ever waits.

Who owns which thread:
- The producer's thread (or event loop) copies samples into the session's `Ring` and returns.
- One thread of the evaluator, the hub's, does what stands between audio and model, for all sessions: it takes whole
  blocks of 0.1 s out of the rings, watches their levels, resamples them, keeps the log-mel and cuts windows. It submits
  each window and turns results into events. All state of a session but its ring and its events is that thread's alone.
- The driver's thread steps the engine, as ever: windows of all sessions share its passes.
- Whoever reads events takes them from the session's `Outbox`.

What is bounded, and what is dropped. The ring holds 30 s: where the hub cannot follow, the oldest audio is lost, and
with it the windows that would have ended there. At most `BACKLOG` windows of a channel are under way: the oldest that
waits makes place for the newest. A window that has not begun within the deadline after its last sample was pushed is
given up. The outbox holds so many updates: the oldest that nobody took makes place. Each window lost in any of these
ways is counted once, in the `dropped` of the next update, so that updates and drops add up to the windows of the call.
"""
