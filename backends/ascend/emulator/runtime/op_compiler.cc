// libacl_op_compiler.so: clients name it when they link, and nothing that the emulator serves lives there.
