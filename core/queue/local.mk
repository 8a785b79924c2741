# core/queue: sources and unit tests of this room
