"""The pure core: everything that decides, from values to values, without a client, a clock or chance."""
