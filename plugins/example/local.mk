# plugins/example: the plugin author's starting point
