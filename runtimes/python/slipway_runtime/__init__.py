"""The server inside every image that Slipway builds; it answers the serving contract."""
