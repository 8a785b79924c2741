# core/net: sources and unit tests of this room
