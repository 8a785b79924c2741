# t: tests that are not of one room
