"""GStreamer's RTSP server with one clip: a peer that nobody here has written. Run by the distribution's Python, which has its bindings.

    /usr/bin/python3 rtsp_server.py CLIP CODEC DROP PORT     prints its port; ends when its standard input does

CODEC is h264 or h265; DROP is the share of RTP packets that are lost on the way, 0 to 1; PORT 0 is any. Each client gets the clip from its start.
"""

from __future__ import annotations

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)


def main(clip: str, codec: str, drop: float, port: str) -> None:
    payload = f"rtp{codec}pay config-interval=-1 pt=96"
    tail = f"{payload} name=pay0" if not drop else f"{payload} ! identity drop-probability={drop} name=pay0"
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( filesrc location={clip} ! matroskademux ! {tail} )")
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/facade", factory)
    server.attach(None)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
