"""The named limits of the door (law 9): what a connection may hold, and how long it may take."""

MAX_CONNECTIONS = 1024
BODY_BUDGET_BYTES = 32 * 1024 * 1024
"""What bodies and answers longer than RECEIVE_BYTES may hold together."""
RECEIVE_BYTES = 16 * 1024
"""Takes a head and, with luck, all of a small request in one read."""
STREAM_CHUNK_BYTES = 512 * 1024
"""What a streamed body is handed on in; a stream holds two of them."""
FEW_STREAMS = 32
"""With more streams than this the chunks of the next one are small."""
CROWDED_CHUNK_BYTES = 64 * 1024
WRITE_HIGH_BYTES = 64 * 1024
JOIN_BYTES = 64 * 1024
"""Up to here copying the body behind its head is cheaper than handing over two pieces."""

HEAD_SECONDS = 10.0
IDLE_SECONDS = 120.0
SMALL_BODY_SECONDS = 30.0
BUDGET_SECONDS = 60.0
STREAM_CHUNK_SECONDS = 1800.0
"""A gate hands on what a slow client sends, so the least rate of a stream is one chunk in half an hour."""
SEND_SECONDS = 60.0
LINGER_SECONDS = 2.0
LINGER_BYTES = 4 * 1024 * 1024
"""After the last answer this much is still read and thrown away: to close with unread bytes would reset the
connection, and the client might never see the answer."""
NEVER = float("inf")
