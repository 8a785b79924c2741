# plugins/sqlite: the built-in store
