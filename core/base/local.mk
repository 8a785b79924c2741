# core/base: sources and unit tests of this room
