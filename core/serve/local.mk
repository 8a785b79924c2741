# core/serve: sources and unit tests of this room
