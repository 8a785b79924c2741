# core/plug: sources and unit tests of this room
