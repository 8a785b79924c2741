# core/mail: sources and unit tests of this room
