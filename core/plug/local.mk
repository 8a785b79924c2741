# core/plug: sources and unit tests of this room
libcore_a_SOURCES += \
	core/plug/milter.c core/plug/milter.h \
	core/plug/milter_edit.c core/plug/milter_edit.h \
	core/plug/milter_macro.c core/plug/milter_macro.h \
	core/plug/milter_wire.c core/plug/milter_wire.h
