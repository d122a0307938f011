"""The gRPC edge, over real connections where there are any."""
